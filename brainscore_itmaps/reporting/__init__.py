"""Figures and HTML pages of results and studies."""
