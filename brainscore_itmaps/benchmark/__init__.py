"""Benchmarks, their evaluation, and the results."""
