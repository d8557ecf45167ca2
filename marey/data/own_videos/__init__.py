"""A manifest of one's own videos, from folders or a list. For `marey data init`."""
