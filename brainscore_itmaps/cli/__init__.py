"""The command line: it parses, calls the Python function of the same name, and prints."""
