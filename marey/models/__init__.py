"""Networks and temporal ops; know no label names, paths or recipes."""
