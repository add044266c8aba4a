"""The evaluation itself, and its result."""
