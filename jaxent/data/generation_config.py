"""What ends a generation, and what else a checkpoint asks of one."""

import pathlib
from typing import Any

from jaxent import json_files

# Settings that change greedy decoding in transformers, each with the value that does
# nothing. Decoding here follows its flags alone.
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "bad_words_ids": (),
    "begin_suppress_tokens": (),
    "dola_layers": (),
    "encoder_no_repeat_ngram_size": (0,),
    "encoder_repetition_penalty": (1,),
    "exponential_decay_length_penalty": (),
    "forced_bos_token_id": (),
    "forced_eos_token_id": (),
    "guidance_scale": (1,),
    "min_length": (0,),
    "min_new_tokens": (0,),
    "no_repeat_ngram_size": (0,),
    "num_beams": (1,),
    "penalty_alpha": (0,),
    "repetition_penalty": (1,),
    "sequence_bias": (),
    "stop_strings": (),
    "suppress_tokens": (),
    "token_healing": (),
    "watermarking_config": (),
}


def read_generation_ends(folder: pathlib.Path) -> list[int]:
    """The ids that end a generation of transformers.

    They are those of generation_config.json, or, where there is no such file, of
    config.json.

    Args:
        folder: The checkpoint's folder.

    Returns:
        The ids; a negative one, which nothing is, is left out.

    Raises:
        ValueError: eos_token_id is neither an id nor a list of ids.
    """
    file, settings = _read_settings(folder)
    stated = settings.get("eos_token_id")
    ends = [] if stated is None else stated if isinstance(stated, list) else [stated]
    if not all(isinstance(end, int) and not isinstance(end, bool) for end in ends):
        raise ValueError(
            f"{file}: eos_token_id {stated!r}, expected a token id or a list of them"
        )
    return [end for end in ends if end >= 0]


def read_unapplied(folder: pathlib.Path) -> dict[str, Any]:
    """Settings of a checkpoint that change greedy decoding in transformers, not here.

    Args:
        folder: The checkpoint's folder.

    Returns:
        The values of generation_config.json, or of config.json where there is no such
        file, by key.
    """
    _, settings = _read_settings(folder)
    return {
        key: settings[key]
        for key, neutral in _NEUTRAL.items()
        if key in settings
        and settings[key] not in (None, False, "", [], {})
        and settings[key] not in neutral
    }


def _read_settings(folder: pathlib.Path) -> tuple[pathlib.Path, dict]:
    """The file that transformers takes generation settings from, and its dictionary."""
    for name in ("generation_config.json", "config.json"):
        file = folder / name
        if file.is_file():
            return file, json_files.read_json(file)
    return folder / "config.json", {}
