"""Every clip of a manifest looked at: what is broken, and what there is. For `marey data check`."""
