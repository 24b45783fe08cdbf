"""The vocabulary: values and rules, without I/O, clocks or third-party packages."""
