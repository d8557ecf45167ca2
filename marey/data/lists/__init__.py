"""Lists and annotation files as others write them, read line by line, with their faults."""
