"""What weights of bitsandbytes decode to."""

import copy

import bitsandbytes
import bitsandbytes.functional as bnb
import torch


def decoded(weight) -> torch.Tensor:
    """A Params4bit as bitsandbytes decodes it, a block a row.

    With AVX-512, its CPU kernel (0.50.2) reads wrong scales where rows are a multiple
    of 32 but not of a block's 64.
    """
    state = copy.copy(weight.quant_state)
    shape, state.shape = state.shape, torch.Size((state.shape.numel() // 64, 64))
    return bnb.dequantize_4bit(weight.data, state).reshape(shape)


def with_decoded_weights(model) -> torch.nn.Module:
    """bitsandbytes' model with plain linear layers of the decoded values."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, bitsandbytes.nn.Linear4bit):
                plain = torch.nn.Linear(
                    child.in_features, child.out_features, bias=child.bias is not None
                )
                plain.weight.data = decoded(child.weight)
                if child.bias is not None:
                    plain.bias.data = child.bias.data.float()
                setattr(parent, name, plain)
    return model
