"""Studies that the paper does not have: their tables, figures and drawings."""
