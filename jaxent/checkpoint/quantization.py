"""What a config.json says of how bitsandbytes quantised a checkpoint."""

import dataclasses
import pathlib
import re

from jaxent.checkpoint import bitsandbytes_nf4, safetensors_folder
from jaxent.model import config as configs

# Keys of 8-bit models, of where modules are put, of what tensors themselves say, and of
# the arithmetic, which is this package's own.
_HARMLESS = frozenset(
    [
        "_load_in_4bit",
        "_load_in_8bit",
        "bnb_4bit_compute_dtype",
        "bnb_4bit_quant_storage",
        "bnb_4bit_use_double_quant",
        "llm_int8_enable_fp32_cpu_offload",
        "llm_int8_has_fp16_weight",
        "llm_int8_skip_modules",
        "llm_int8_threshold",
    ]
)


@dataclasses.dataclass(frozen=True)
class Quantization:
    """How the weights of a checkpoint are stored.

    Attributes:
        skip_modules: Names of modules that were kept as they are, as
            llm_int8_skip_modules has them.
    """

    skip_modules: tuple[str, ...]

    def keeps(self, module: str) -> bool:
        """Whether a module was kept unquantised, by transformers' rule.

        A pattern matches from the start up to the end of a part of the name, or at the
        end of the name.

        Args:
            module: The module's full name, without ".weight".

        Returns:
            Whether its weight is not NF4.

        Example:
            >>> Quantization(("model.layers.1",)).keeps("model.layers.1.mlp.up_proj")
            True
            >>> Quantization(("model.layers.1",)).keeps("model.layers.11.mlp.up_proj")
            False
        """
        end = r"(?:(?<=\.)|(?=\.|$))"
        return any(
            re.match(f"(?:{pattern}){end}", module) or module.endswith(pattern)
            for pattern in self.skip_modules
        )


def read_quantization(folder: pathlib.Path) -> Quantization | None:
    """Reads the quantization_config of a folder's config.json.

    Args:
        folder: The checkpoint's folder.

    Returns:
        How the weights are stored; None where config.json says nothing.

    Raises:
        ValueError: Another method than bitsandbytes' NF4, or an unknown key.
    """
    raw = configs.read_raw(folder).get("quantization_config")
    if not raw:
        return None
    where = f"{folder / 'config.json'}: quantization_config"
    if not isinstance(raw, dict):
        raise ValueError(f"{where} {raw!r}, expected a dictionary")
    in_bits = raw.get("load_in_4bit") or raw.get("load_in_8bit")
    method = raw.get("quant_method") or ("bitsandbytes" if in_bits else None)
    expected = {
        "quant_method": (method, "bitsandbytes"),
        "load_in_8bit": (raw.get("load_in_8bit") or False, False),
        "load_in_4bit": (raw.get("load_in_4bit") or False, True),
        "bnb_4bit_quant_type": (raw.get("bnb_4bit_quant_type", "fp4"), "nf4"),
    }
    for key, (value, wanted) in expected.items():
        if value != wanted:
            raise ValueError(
                f"{where} has {key} {value!r}, expected {wanted!r}: of quantised"
                " checkpoints only bitsandbytes' NF4 is read"
            )
    for key in sorted(set(raw) - set(expected) - _HARMLESS):
        if raw[key] not in (None, False, "", [], {}):
            raise ValueError(f"{where} has unknown key {key!r} = {raw[key]!r}")
    return Quantization(_read_skip_modules(raw.get("llm_int8_skip_modules"), where))


def _read_skip_modules(stated, where: str) -> tuple[str, ...]:
    if stated is None:
        return ()  # transformers then keeps the head, which is never quantised here
    if not isinstance(stated, list):
        raise ValueError(
            f"{where} has llm_int8_skip_modules {stated!r}, expected a list of names"
        )
    for pattern in stated:
        try:
            re.compile(pattern)
        except (re.error, TypeError) as error:
            raise ValueError(
                f"{where} has {pattern!r} in llm_int8_skip_modules, expected a name"
                f" or a regular expression ({error})"
            ) from error
    return tuple(stated)


def check_stored(
    quantization: Quantization | None, folder: safetensors_folder.Folder, name: str
) -> None:
    """Checks that a linear weight is stored as config.json says.

    Args:
        quantization: What config.json says.
        folder: The checkpoint.
        name: The weight's name.

    Raises:
        ValueError: It is not NF4, although config.json has no reason for that.
    """
    if quantization is None or bitsandbytes_nf4.is_stored(folder, name):
        return
    if not quantization.keeps(name.removesuffix(".weight")):
        entry = folder.entries[name]
        raise ValueError(
            f"{entry.file}: tensor {name!r} is {entry.dtype}, expected NF4: the"
            " quantization_config of config.json does not name it in"
            " llm_int8_skip_modules (a merged checkpoint whose quantization_config"
            " was left over?)"
        )
