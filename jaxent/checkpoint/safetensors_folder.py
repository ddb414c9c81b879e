"""A folder of safetensors shards as one strict table of named tensors."""

import dataclasses
import pathlib

import huggingface_hub
import numpy as np
import safetensors

from jaxent import json_files
from jaxent.checkpoint import real_model

_WANTED = [
    "*.safetensors",
    "*.safetensors.index.json",
    "config.json",
    "generation_config.json",
    "tokenizer*",
    "*.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template*",
    "additional_chat_templates/*",
    "LICENSE*",
    "NOTICE*",
    "USE_POLICY*",
    "adapter_config.json",
]
# The same weights in another format, and other checkpoints below the folder.
_UNWANTED = [
    "consolidated*",
    "*/*.safetensors",
    "*/*.safetensors.index.json",
    "*/*.model",
]
_PREFIX = "model."


def locate(source: str, revision: str | None = None) -> pathlib.Path:
    """The local folder of a checkpoint.

    Args:
        source: A folder, a Hub id, whose snapshot is downloaded once, or `smollm2`.
        revision: Branch, tag or commit of a Hub id; None: its default branch.

    Returns:
        The folder.

    Raises:
        FileNotFoundError: It is neither, or the Hub did not give it.
        ValueError: A folder is given with a revision.
    """
    source = real_model.resolve(source)
    path = pathlib.Path(source)
    if path.is_dir():
        if revision:
            raise ValueError(
                f"revision {revision!r} of model {source!r}: expected a Hub id, a"
                " folder has one state"
            )
        return path
    if source.startswith((".", "/", "~")) or source.count("/") != 1:
        raise FileNotFoundError(
            f"model {source!r}: no such folder, and not a Hub id of the form owner/name"
        )
    try:
        snapshot = huggingface_hub.snapshot_download(
            source,
            revision=revision,
            allow_patterns=_WANTED,
            ignore_patterns=_UNWANTED,
        )
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise FileNotFoundError(
            f"model {source!r}: not a local folder, and the Hub did not give it"
            f" ({reason})"
        ) from error
    return pathlib.Path(snapshot)


@dataclasses.dataclass(frozen=True)
class Entry:
    """One tensor: its file, its name there, and what the file's header says of it."""

    file: pathlib.Path
    shape: tuple[int, ...]
    dtype: str
    stored: str


@dataclasses.dataclass(frozen=True)
class Folder:
    """Every tensor of a checkpoint by name.

    Headers are read once; data is mapped only while it is read.
    """

    path: pathlib.Path
    entries: dict[str, Entry]

    def read(self, name: str, part: tuple[slice, ...] = ()) -> np.ndarray:
        """One tensor, or a part of it; its file is unmapped again.

        Args:
            name: The tensor's name.
            part: A slice an axis; (): all of it.

        Returns:
            A numpy array, bfloat16 through ml_dtypes.
        """
        entry = self.entries[name]
        with safetensors.safe_open(entry.file, framework="np") as file:
            if part:
                return file.get_slice(entry.stored)[part]
            return file.get_tensor(entry.stored)


def open_folder(folder: pathlib.Path, stem: str = "model") -> Folder:
    """Reads the headers of a folder's shards.

    Args:
        folder: The folder.
        stem: The files' name: STEM.safetensors, or STEM.safetensors.index.json and the
            shards that it names. Where both are there, the single file is read and the
            index is left over, as in transformers.

    Returns:
        The table of tensors. A decoder saved without its head has names without
        "model."; here they have it.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A file is damaged, a tensor is in two files, or in another than the
            index says. A name that the index has and no shard holds is no error here:
            tied heads and buffers are such, and what is needed is missed later.
    """
    index = folder / f"{stem}.safetensors.index.json"
    single = folder / f"{stem}.safetensors"
    weight_map: dict[str, str] | None = None
    if single.is_file():
        files = [single]
    elif index.is_file():
        names = _read_index(index)
        weight_map = names
        files = sorted({folder / file for file in names.values()})
    else:
        raise FileNotFoundError(
            f"{folder}: found {_describe_pickles(folder)},"
            f" expected {single.name} or {index.name}"
        )
    entries: dict[str, Entry] = {}
    for file in files:
        entries |= _read_header(file, entries)
    if weight_map is not None:
        _check_index(index, weight_map, entries)
    return Folder(folder, _with_prefix(entries) if stem == "model" else entries)


def _with_prefix(entries: dict[str, Entry]) -> dict[str, Entry]:
    """Entries under the names of a model with a head."""
    has_prefix = any(name.startswith(_PREFIX) for name in entries)
    if has_prefix or "embed_tokens.weight" not in entries:
        return entries
    return {
        name if name.startswith("lm_head.") else _PREFIX + name: entry
        for name, entry in entries.items()
    }


def _read_index(index: pathlib.Path) -> dict[str, str]:
    """The file of every tensor, as an index says."""
    names = json_files.read_json(index).get("weight_map")
    if not isinstance(names, dict) or not names:
        problem = ": no weight_map, expected tensor names and files"
        raise json_files.FileError(str(index), problem)
    for tensor, file in names.items():
        if not isinstance(file, str):
            problem = f": weight_map.{tensor} {file!r}, expected a file's name"
            raise json_files.FileError(str(index), problem)
    return names


def _describe_pickles(folder: pathlib.Path) -> str:
    patterns = ("*.bin", "*.pt", "*.pth")
    pickles = sorted(path.name for p in patterns for path in folder.glob(p))
    if not pickles:
        return "neither"
    return f"only pickle files ({pickles[0]}), which are never loaded"


def _read_header(file: pathlib.Path, seen: dict[str, Entry]) -> dict[str, Entry]:
    """The tensors of one shard, none of which may be in an earlier one."""
    if not file.is_file():
        raise FileNotFoundError(f"{file}: shard named by the index is missing")
    entries = {}
    try:
        with safetensors.safe_open(file, framework="np") as opened:
            for name in opened.keys():  # noqa: SIM118 (a file is no mapping)
                header = opened.get_slice(name)
                shape = tuple(header.get_shape())
                entries[name] = Entry(file, shape, header.get_dtype(), name)
    except safetensors.SafetensorError as error:
        raise ValueError(
            f"{file}: truncated or damaged safetensors file ({error})"
        ) from error
    repeated = sorted(set(entries) & set(seen))
    if repeated:
        other = seen[repeated[0]].file.name
        raise ValueError(f"{file}: tensor {repeated[0]!r} is also in {other}")
    return entries


def _check_index(
    index: pathlib.Path, weight_map: dict[str, str], entries: dict[str, Entry]
) -> None:
    for name, file in weight_map.items():
        if name in entries and entries[name].file.name != file:
            raise ValueError(
                f"{index}: tensor {name!r} is not in {file} as the index says"
            )
    surplus = sorted(set(entries) - set(weight_map))
    if surplus:
        raise ValueError(
            f"{index}: tensor {surplus[0]!r} of {entries[surplus[0]].file.name}"
            " is not in the index"
        )
