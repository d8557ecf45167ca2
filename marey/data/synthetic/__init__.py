"""The built-in data set: rendered scenes whose classes differ in order alone."""
