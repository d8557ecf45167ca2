"""Predictions of many clips as files that others read: tables, and submissions to challenges."""
