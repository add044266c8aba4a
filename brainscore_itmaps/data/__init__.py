"""Recordings and human maps: read, simulate, download and store them."""
