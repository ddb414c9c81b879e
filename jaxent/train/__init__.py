"""Batches to adapter: the objective, one jitted optimizer step, the loop around it."""
