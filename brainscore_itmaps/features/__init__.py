"""Record features of models for images, and sample them at the grid of a recording."""
