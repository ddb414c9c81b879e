"""What a Hugging Face folder holds beside its tensors, for a changed copy of it."""

import json
import pathlib
import shutil
from typing import Any

import numpy as np

from jaxent import json_files

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
    "additional_chat_templates/*.jinja",
)
"""Every file that transformers reads a tokenizer or its chat template from."""

_CHAT_TEMPLATE_FILES = TOKENIZER_FILES[-3:]
_OTHER_FILES = ("generation_config.json", "LICENSE*", "NOTICE*", "USE_POLICY*")


def find(folder: pathlib.Path, patterns: tuple[str, ...]) -> dict[str, pathlib.Path]:
    """The files of a folder that are of some names.

    Args:
        folder: The folder.
        patterns: Names, or patterns as `pathlib.Path.glob` takes them.

    Returns:
        By the name below the folder, its path.

    Example:
        >>> folder = pathlib.Path(__file__).parents[1] / "data/checkpoints/tiny"
        >>> [*find(folder, TOKENIZER_FILES)]
        ['tokenizer.json', 'tokenizer_config.json']
    """
    return {
        str(file.relative_to(folder)): file
        for pattern in patterns
        for file in sorted(folder.glob(pattern))
        if file.is_file()
    }


def list_files(
    base: pathlib.Path, adapter: pathlib.Path | None = None
) -> dict[str, pathlib.Path]:
    """What is copied beside merged tensors: tokenizer, chat template, generation.

    An adapter that comes with a tokenizer or with a chat template was trained with it.
    Its tokenizer is taken whole, because two that are mixed would be neither; its chat
    template is taken in place of the base's.

    Args:
        base: The base checkpoint.
        adapter: The adapter's folder.

    Returns:
        By name in the copy, the file that is copied.
    """
    own = find(adapter, TOKENIZER_FILES) if adapter else {}
    tokenizer = own
    if "tokenizer_config.json" not in own or "tokenizer.json" not in own:
        tokenizer = find(base, TOKENIZER_FILES)
        templates = find(adapter, _CHAT_TEMPLATE_FILES) if adapter else {}
        if templates:
            for name in find(base, _CHAT_TEMPLATE_FILES):
                del tokenizer[name]
            tokenizer |= templates
    return tokenizer | find(base, _OTHER_FILES)


def copy_files(files: dict[str, pathlib.Path], out: pathlib.Path) -> None:
    """Copies files, the content of a link in place of the link.

    Args:
        files: By name in the copy, the file.
        out: The folder of the copy.
    """
    for name, file in files.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, out / name)


def write_config(base: pathlib.Path, out: pathlib.Path, dtype: Any = None) -> None:
    """Writes the config.json of dense weights.

    It is the base's without `quantization_config`, which would make transformers
    quantise the weights again, and with the dtype that is written.

    Args:
        base: The base checkpoint.
        out: The folder of the copy.
        dtype: Of every tensor; None: as the base's config.json has it.
    """
    config = json_files.read_json(base / "config.json")
    config.pop("quantization_config", None)
    if dtype is not None:
        key = "dtype" if "dtype" in config else "torch_dtype"
        config[key] = np.dtype(dtype).name
    text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    (out / "config.json").write_text(text, encoding="utf-8")


def check_vocabulary(files: dict[str, pathlib.Path], rows: int) -> None:
    """Checks that every token of a tokenizer has a row of the embedding.

    Args:
        files: Of `list_files`.
        rows: Rows of the embedding.

    Raises:
        ValueError: A token has none: the adapter's tokenizer has tokens that the base
            does not know.
    """
    file = files.get("tokenizer.json")
    if file is None:
        return
    raw = json_files.read_json(file)
    added = {token["content"]: token["id"] for token in raw.get("added_tokens") or ()}
    if added and max(added.values()) >= rows:
        token = max(added, key=lambda content: added[content])
        raise ValueError(
            f"{file}: added token {token!r} has id {added[token]}, expected less than "
            f"the {rows} rows of the embedding"
        )
