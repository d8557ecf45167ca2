"""The command `marey`, a file a command: each parses its words, calls one function, prints."""
