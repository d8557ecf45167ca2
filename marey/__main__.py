"""`python -m marey` is the command `marey`."""

from marey.cli import main

main()
