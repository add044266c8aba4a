"""Brain-Score's side: its models, its benchmarks, its way of finding plugins."""
