"""The version of marey, written here alone."""

__version__ = "0.1.0"
