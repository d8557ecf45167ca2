"""The manifest: a table of clips, read, placed, checked, joined and written."""
