"""Recordings: maps of neural activity with the pictures that evoked them."""
