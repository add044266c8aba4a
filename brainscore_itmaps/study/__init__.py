"""Many networks, one question: running them, comparing them, and checking the real files."""
