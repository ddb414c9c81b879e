"""Floating-point operations that the work cannot do without."""

from collections.abc import Iterable

from jaxent.arrays import lora
from jaxent.model import blocks
from jaxent.model import config as configs


def training_flops(
    config: configs.Config, lora_config: lora.LoraConfig, lengths: Iterable[int]
) -> float:
    """FLOPs of one step of QLoRA, nothing recomputed and nothing padded.

    A token needs 4 for each frozen linear weight and each weight of the head (forward,
    and the gradient of the input; 2 a weight each) and 6 for each of the adapter's
    (its own gradient too). Attention of an example of n tokens needs 3 times
    2 n^2 N H a layer: scores and values, half of n^2 each way, forward and twice
    backward.

    Args:
      config: the model's shapes.
      lora_config: the adapter's.
      lengths: tokens of each example.

    Example:
      >>> raw = {"model_type": "llama", "vocab_size": 10, "hidden_size": 4}
      >>> raw |= {"intermediate_size": 8, "num_hidden_layers": 1}
      >>> config = configs.from_dict(raw | {"num_attention_heads": 2})
      >>> training_flops(config, lora.LoraConfig(1, modules=("q_proj",)), [10])
      10880.0
    """
    shapes = blocks.linear_shapes(config)
    linear = config.layers * sum(k * n for k, n in shapes.values())
    ranks = sum(sum(shapes[module]) for module in lora_config.modules)
    adapter = config.layers * lora_config.rank * ranks
    token = 4 * linear + 4 * config.vocab * config.embed + 6 * adapter
    square = 6 * config.layers * config.heads * config.head_dim
    return float(sum(n * token + n * n * square for n in lengths))


def forward_flops(
    config: configs.Config, lengths: Iterable[int], predictions: int
) -> float:
    """FLOPs of reading texts once, each alone and unpadded.

    A token needs 2 for each linear weight, and 2 for each weight of the head where the
    next token is predicted; attention of a text of n tokens 2 n^2 N H a layer.

    Args:
      config: the model's shapes.
      lengths: tokens of each text.
      predictions: tokens after which the next one is predicted.

    Example:
      >>> raw = {"model_type": "llama", "vocab_size": 10, "hidden_size": 4}
      >>> raw |= {"intermediate_size": 8, "num_hidden_layers": 1}
      >>> config = configs.from_dict(raw | {"num_attention_heads": 2})
      >>> forward_flops(config, [10], predictions=1)
      4080.0
    """
    shapes = blocks.linear_shapes(config)
    linear = config.layers * sum(k * n for k, n in shapes.values())
    square = 2 * config.layers * config.heads * config.head_dim
    head = 2 * config.vocab * config.embed * predictions
    return float(sum(2 * n * linear + n * n * square for n in lengths) + head)
