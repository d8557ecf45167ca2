"""`python -m marey` is the command `marey`."""

from marey.cli.app import main

main()
