"""Temporal ops, one paper a file; each says which module sits at which site of a block."""
