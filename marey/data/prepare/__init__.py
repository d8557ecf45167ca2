"""A manifest of a known data set, from its annotations and media. For `marey data prepare`."""
