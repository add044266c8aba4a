"""Models: their specifications, weights, layers and preprocessing, and how to load them."""
