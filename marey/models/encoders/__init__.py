"""Encoders: clips to features, one network a file."""
