"""The training loop, and what it writes into the folder of a run."""
