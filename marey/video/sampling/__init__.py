"""Which frames of a clip are taken: one rule a class."""
