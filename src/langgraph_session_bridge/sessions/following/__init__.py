"""How sessions follow their graphs: what is noticed, counted and mended."""
