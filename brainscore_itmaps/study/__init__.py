"""Many models, one question: running them, comparing them, and checking the real files."""
