"""The only place with loops, devices and files: train, evaluate, predict, report."""
