"""Videos, folders of frames and packs, read as frames."""
