"""Arrays in, arrays out: predictions over left-out images, agreement of maps, ceilings, intervals."""
