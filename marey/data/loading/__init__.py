"""Rows of a manifest to batches: data sets, samplers, mixing, and workers that read ahead."""
