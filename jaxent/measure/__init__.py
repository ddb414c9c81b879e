"""Activations to entanglement: `measure(x, labels)` works on any [N, d] array of any model's activations."""

from jaxent.measure.concepts import label
from jaxent.measure.entangle import measure, measure_layers

__all__ = ["label", "measure", "measure_layers"]
