"""Activations to entanglement: `measure(x, labels)` takes any model's activations."""

from jaxent.measure.concepts import label_probes
from jaxent.measure.entangle import measure, measure_layers

__all__ = ["label_probes", "measure", "measure_layers"]
