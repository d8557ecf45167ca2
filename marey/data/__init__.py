"""Rows of a manifest become batches; knows no models. For everything that has to do with clips."""
