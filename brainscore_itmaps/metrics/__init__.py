"""Predict left-out images and compute scores, noise ceilings and intervals, from arrays alone."""
