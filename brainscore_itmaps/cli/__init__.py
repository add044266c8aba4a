"""The command line: each command parses its options, calls the Python function of that name, and prints."""
