"""Batches to adapter: the objective, one jitted optimizer step, and the loop around it."""
