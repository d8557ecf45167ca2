"""Files of weights, and models made of them: checkpoints, releases, official weights."""
