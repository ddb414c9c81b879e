"""Tokenizers exactly as their tokenizer.json says."""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Iterable

import tokenizers
import transformers


@dataclasses.dataclass(frozen=True)
class Tokenizer:
    """A checkpoint's tokenizer; `hash` is the sha256 of its tokenizer.json, bos_id is None where it adds none.

    eos_ids: every id that ends a generation: eos_id and those of generation_config.json.
    """

    fast: transformers.PreTrainedTokenizerFast
    hash: str
    bos_id: int | None
    eos_id: int
    pad_id: int
    eos_ids: tuple[int, ...]

    def encode(self, texts: Iterable[str]) -> list[list[int]]:
        """Token ids of each text, with the special tokens the model's own tokenizer adds (bos for Llama, Mistral)."""
        texts = list(texts)
        return (
            self.fast(texts, return_attention_mask=False)["input_ids"] if texts else []
        )

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids, special tokens left out."""
        return self.fast.decode(
            list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )


def load_tokenizer(folder: str | pathlib.Path) -> Tokenizer:
    """The tokenizer of a checkpoint folder.

    Always `PreTrainedTokenizerFast` on the folder's own tokenizer.json: transformers 5's
    CodeLlamaTokenizer rebuilds the pipeline from the vocabulary and drops a leading space that the
    file keeps. Raises FileNotFoundError without tokenizer.json, ValueError without an eos token and
    for a special token outside the file, which transformers would give an id past the embedding.
    """
    file = pathlib.Path(folder) / "tokenizer.json"
    if not file.is_file():
        raise FileNotFoundError(
            f"{file}: no such file, expected the checkpoint's tokenizer.json"
        )
    settings_file = file.with_name("tokenizer_config.json")
    settings = json.loads(settings_file.read_text()) if settings_file.is_file() else {}
    special = {
        name: _content(settings.get(name))
        for name in ("bos_token", "eos_token", "pad_token", "unk_token")
    }
    raw = tokenizers.Tokenizer.from_file(str(file))
    for name, token in special.items():
        if raw.token_to_id(token) is None if token else name == "eos_token":
            raise ValueError(
                f"{settings_file}: {name} {token!r}, expected a token of {file.name}"
            )
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw, **{k: v for k, v in special.items() if v}
    )
    probe = fast("a")["input_ids"]
    bos = (
        fast.bos_token_id
        if fast.bos_token_id is not None and probe[:1] == [fast.bos_token_id]
        else None
    )
    pad = fast.pad_token_id if fast.pad_token_id is not None else fast.eos_token_id
    ends = tuple(
        sorted(
            {
                fast.eos_token_id,
                *_generation_ends(file.with_name("generation_config.json")),
            }
        )
    )
    return Tokenizer(
        fast,
        hashlib.sha256(file.read_bytes()).hexdigest(),
        bos,
        fast.eos_token_id,
        pad,
        ends,
    )


def _generation_ends(file: pathlib.Path) -> list[int]:
    """eos_token_id of a generation_config.json: an id, several, or none."""
    found = json.loads(file.read_text()).get("eos_token_id") if file.is_file() else None
    return found if isinstance(found, list) else [] if found is None else [found]


def _content(token) -> str | None:
    """A special token's text: configuration files hold it plain or as {"content": ...}."""
    return token["content"] if isinstance(token, dict) else token
