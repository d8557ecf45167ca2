"""Exports of labelling tools, read as clips and spans: one file a tool, and one list of them."""
