"""Pages and tables about runs, for people."""
