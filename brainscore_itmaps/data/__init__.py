"""Recordings: maps of neural activity with the images that evoked them."""
