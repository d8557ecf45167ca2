"""What is claimed of marey's speed, measured beside the published code's way of doing the same.

Each command writes its rows as JSON and prints them as a table, in under ten minutes on whatever
machine: what does not fit into `--minutes` has fewer rounds, or is left out by name.

    python -m benchmarks.inference|training|loading|growth --json FILE
    python -m benchmarks.page FOLDER             of such files: docs/benchmarks.md
"""
