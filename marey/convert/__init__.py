"""Checkpoints of other code bases: whose they are, what model they hold, our names in them."""
