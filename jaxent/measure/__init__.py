"""Activations to entanglement. `entangle.measure(x, labels)` works on any [N, d] array."""
