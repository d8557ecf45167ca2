"""Rows of a manifest to batches: data sets, samplers, mixing, and the one DataLoader."""
