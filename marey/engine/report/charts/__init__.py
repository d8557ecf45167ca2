"""Charts as SVG text, for the pages and for `marey data stats`."""
