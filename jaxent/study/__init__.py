"""A study as a list of run specifications: expanded by a pure function, executed one by one on shared base models."""
