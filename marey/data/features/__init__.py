"""Features of clips instead of videos: one Arrow file, or folders of single files."""
