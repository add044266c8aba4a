"""Studies of many models: run and compare them, and check the real recordings."""
