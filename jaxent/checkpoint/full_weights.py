"""All weights of a model as a Hugging Face folder beside its base; and either tuner's.

`load_trained` reads whatever a run trained: an adapter in PEFT's format, or a
checkpoint of the base's shapes.
"""

import dataclasses
import pathlib
import shutil

import jax.numpy as jnp

from jaxent import json_files
from jaxent.checkpoint import (
    hf,
    model_files,
    peft,
    quantization,
    safetensors_folder,
)
from jaxent.model import config as configs
from jaxent.model import trained, transformer


def save(
    weights: trained.FullWeights,
    base: pathlib.Path,
    config: configs.Config,
    out: pathlib.Path,
) -> None:
    """Writes weights as a folder that transformers loads.

    Tensors in float32, config.json, and the base's tokenizer, chat template and
    generation settings. The folder has its name once it is whole; one that is there
    is replaced.

    Args:
        weights: The weights, on the host.
        base: The base checkpoint.
        config: Its configuration.
        out: The folder.
    """
    partial = out.with_name(f"{out.name}.partial")
    for folder in (partial, out):
        shutil.rmtree(folder, ignore_errors=True)
    model, _ = trained.split(transformer.abstract(config), weights)
    raw = json_files.read_json(base / "config.json")
    hf.save(model, partial, raw, jnp.float32)
    model_files.write_config(base, partial, jnp.float32)
    model_files.copy_files(model_files.list_files(base), partial)
    partial.rename(out)


def is_full(folder: pathlib.Path) -> bool:
    """Whether a folder holds a whole model rather than an adapter.

    Example:
        >>> is_full(pathlib.Path(configs.__file__).parents[1] / "data/checkpoints/tiny")
        True
    """
    has_adapter = (folder / "adapter_config.json").is_file()
    return not has_adapter and (folder / "config.json").is_file()


def load(folder: pathlib.Path, config: configs.Config) -> trained.FullWeights:
    """Reads the weights of a fine-tuned copy of a base, in float32.

    Args:
        folder: A checkpoint.
        config: The base's.

    Returns:
        The weights on the default device.

    Raises:
        ValueError: The checkpoint has other settings than the base, or is quantised, or
            a tensor is missing, surplus, not finite or of another shape.
    """
    found = configs.read_config(folder)
    for field in dataclasses.fields(configs.Config):
        value, wanted = getattr(found, field.name), getattr(config, field.name)
        if value != wanted:
            raise ValueError(
                f"{folder}/config.json: {field.name} {value}, expected the base's "
                f"{wanted}"
            )
    if quantization.read_quantization(folder) is not None:
        raise ValueError(f"{folder}: the weights are quantised, expected float32 ones")
    model = hf.load(str(folder), quantize=False, dtype=jnp.float32)
    return trained.full_weights(model)


def load_trained(
    source: str, config: configs.Config, base: str | None = None
) -> trained.Trained:
    """Reads what was trained on a base: a PEFT adapter, or all weights.

    Args:
        source: A folder or Hub id.
        config: The base's.
        base: The base's folder or Hub id, as of `peft.load_adapter`.

    Returns:
        The adapter or the weights, on the default device.

    Raises:
        FileNotFoundError: There is no such folder or id, or a file is missing.
        ValueError: As of `peft.load_adapter` and `load`.
    """
    folder = safetensors_folder.locate(source)
    if is_full(folder):
        return load(folder, config)
    return peft.load_adapter(source, config, base)
