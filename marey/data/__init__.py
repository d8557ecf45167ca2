"""Rows of a manifest become batches; knows no models."""
