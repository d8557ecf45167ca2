"""Action recognition from frames to the long tail."""
