"""Trained models behind a port: requests in, labels and timelines out, and the pages of the app."""
