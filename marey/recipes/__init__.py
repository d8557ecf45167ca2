"""The rows that can be trained and tested, as values."""
