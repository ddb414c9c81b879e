"""A folder of safetensors shards as one strict table of named tensors."""

import dataclasses
import json
import pathlib

import huggingface_hub
import numpy as np
import safetensors

_WANTED = [
    "*.safetensors",
    "*.safetensors.index.json",
    "config.json",
    "generation_config.json",
    "tokenizer*",
    "*.model",
    "special_tokens_map.json",
    "adapter_config.json",
]


def locate(source: str) -> pathlib.Path:
    """The local folder of a checkpoint: itself, or a Hub id's snapshot (downloaded once, then offline)."""
    path = pathlib.Path(source)
    if path.is_dir():
        return path
    if source.startswith((".", "/", "~")) or source.count("/") != 1:
        raise FileNotFoundError(
            f"model {source!r}: no such folder, and not a Hub id of the form owner/name"
        )
    try:
        return pathlib.Path(
            huggingface_hub.snapshot_download(source, allow_patterns=_WANTED)
        )
    except Exception as error:
        reason = (
            str(error).strip().splitlines()[0]
            if str(error).strip()
            else type(error).__name__
        )
        raise FileNotFoundError(
            f"model {source!r}: not a local folder, and the Hub did not give it ({reason})"
        ) from error


@dataclasses.dataclass(frozen=True)
class Entry:
    """Where a tensor lies and what its header says."""

    file: pathlib.Path
    shape: tuple[int, ...]
    dtype: str


@dataclasses.dataclass(frozen=True)
class Folder:
    """Every tensor of a checkpoint by name. Headers are read once; data is mapped only while read."""

    path: pathlib.Path
    entries: dict[str, Entry]

    def read(self, name: str, part: tuple[slice, ...] = ()) -> np.ndarray:
        """One tensor, or a part of it, as a numpy array (bfloat16 through ml_dtypes); its file is unmapped again."""
        entry = self.entries[name]
        with safetensors.safe_open(entry.file, framework="np") as f:
            return f.get_slice(name)[part] if part else f.get_tensor(name)


def open_folder(folder: pathlib.Path, stem: str = "model") -> Folder:
    """Reads the headers of `folder`'s shards; raises with the file's name if one is missing or truncated."""
    index, single = (
        folder / f"{stem}.safetensors.index.json",
        folder / f"{stem}.safetensors",
    )
    if index.is_file():
        weight_map = json.loads(index.read_text())["weight_map"]
        files = sorted({folder / f for f in weight_map.values()})
    elif single.is_file():
        weight_map, files = None, [single]
    else:
        pickles = sorted(
            p.name for ext in ("bin", "pt", "pth") for p in folder.glob(f"*.{ext}")
        )
        found = (
            f"only pickle files ({pickles[0]}), which are never loaded"
            if pickles
            else "neither"
        )
        raise FileNotFoundError(
            f"{folder}: found {found}, expected {single.name} or {index.name}"
        )
    entries: dict[str, Entry] = {}
    for file in files:
        entries |= _header(file, entries)
    if weight_map is not None:
        _check_index(index, weight_map, entries)
    return Folder(folder, entries)


def _header(file: pathlib.Path, seen: dict) -> dict[str, Entry]:
    if not file.is_file():
        raise FileNotFoundError(f"{file}: shard named by the index is missing")
    try:
        with safetensors.safe_open(file, framework="np") as f:
            slices = {name: f.get_slice(name) for name in f.keys()}
            found = {
                n: Entry(file, tuple(s.get_shape()), s.get_dtype())
                for n, s in slices.items()
            }
    except safetensors.SafetensorError as error:
        raise ValueError(
            f"{file}: truncated or damaged safetensors file ({error})"
        ) from error
    if twice := sorted(set(found) & set(seen)):
        raise ValueError(
            f"{file}: tensor {twice[0]!r} is also in {seen[twice[0]].file.name}"
        )
    return found


def _check_index(index, weight_map, entries):
    for name, file in weight_map.items():
        if name not in entries or entries[name].file.name != file:
            raise ValueError(
                f"{index}: tensor {name!r} is not in {file} as the index says"
            )
    if surplus := sorted(set(entries) - set(weight_map)):
        raise ValueError(
            f"{index}: tensor {surplus[0]!r} of {entries[surplus[0]].file.name} is not in the index"
        )
