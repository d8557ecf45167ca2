"""Checkpoints as their authors publish them: a table of each code base, every fact read there."""
