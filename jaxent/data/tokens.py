"""Tokenizers exactly as their tokenizer.json says."""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Iterable

import tokenizers
import transformers

_SPECIAL = ("bos_token", "eos_token", "pad_token", "unk_token")


@dataclasses.dataclass(frozen=True)
class Tokenizer:
    """A checkpoint's tokenizer.

    Attributes:
        fast: The tokenizer of transformers.
        hash: The sha256 of its tokenizer.json.
        bos_id: What it starts a text with; None where it adds nothing.
        eos_id: What ends a text.
        pad_id: What fills rows.
        eos_ids: Every id that ends a generation: eos_id and those of
            generation_config.json.
    """

    fast: transformers.PreTrainedTokenizerFast
    hash: str
    bos_id: int | None
    eos_id: int
    pad_id: int
    eos_ids: tuple[int, ...]

    def encode(self, texts: Iterable[str]) -> list[list[int]]:
        """Token ids of each text, with the special tokens that the tokenizer adds.

        Args:
            texts: The texts.

        Returns:
            The ids of each (Llama's and Mistral's start with bos).
        """
        texts = list(texts)
        if not texts:
            return []
        return self.fast(texts, return_attention_mask=False)["input_ids"]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids, special tokens left out.

        Args:
            ids: Token ids.

        Returns:
            The text.
        """
        text = self.fast.decode(
            list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        assert isinstance(text, str)  # one text's ids go in
        return text


def load_tokenizer(folder: str | pathlib.Path) -> Tokenizer:
    """The tokenizer of a checkpoint folder.

    It is always `PreTrainedTokenizerFast` on the folder's own tokenizer.json:
    transformers 5's CodeLlamaTokenizer rebuilds the pipeline from the vocabulary and
    drops a leading space that the file keeps.

    Args:
        folder: The checkpoint's folder.

    Returns:
        The tokenizer.

    Raises:
        FileNotFoundError: There is no tokenizer.json.
        ValueError: There is no eos token, or a special token is not in the file:
            transformers would give it an id past the embedding.

    Example:
        >>> folder = pathlib.Path(__file__).parent / "checkpoints" / "tiny"
        >>> tokenizer = load_tokenizer(folder)
        >>> [ids] = tokenizer.encode(["def f(x):"])
        >>> tokenizer.decode(ids)
        'def f(x):'
    """
    file = pathlib.Path(folder) / "tokenizer.json"
    if not file.is_file():
        raise FileNotFoundError(
            f"{file}: no such file, expected the checkpoint's tokenizer.json"
        )
    raw = tokenizers.Tokenizer.from_file(str(file))
    special = _special_tokens(file.with_name("tokenizer_config.json"), raw)
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw, chat_template=_chat_template(file.parent), **special
    )
    bos, eos, pad = fast.bos_token_id, fast.eos_token_id, fast.pad_token_id
    adds_bos = bos is not None and fast("a")["input_ids"][:1] == [bos]
    ends = {eos, *_generation_ends(file.with_name("generation_config.json"))}
    return Tokenizer(
        fast,
        hashlib.sha256(file.read_bytes()).hexdigest(),
        bos if adds_bos else None,
        eos,
        eos if pad is None else pad,
        tuple(sorted(ends)),
    )


def _special_tokens(file: pathlib.Path, raw: tokenizers.Tokenizer) -> dict[str, str]:
    """The special tokens that a tokenizer_config.json names, all in the tokenizer."""
    settings = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    named = {name: _content(settings.get(name)) for name in _SPECIAL}
    special = {name: token for name, token in named.items() if token}
    for name in _SPECIAL:
        known = name in special and raw.token_to_id(special[name]) is not None
        if not known and (name in special or name == "eos_token"):
            raise ValueError(
                f"{file}: {name} {named[name]!r}, expected a token of tokenizer.json"
            )
    return special


def _chat_template(folder: pathlib.Path) -> str | list[dict[str, str]] | None:
    """A checkpoint's chat template, if it has one, or several by name.

    As in transformers, the file of its own wins over tokenizer_config.json.
    """
    own = folder / "chat_template.jinja"
    if own.is_file():
        return own.read_text(encoding="utf-8")
    settings = folder / "tokenizer_config.json"
    if not settings.is_file():
        return None
    return json.loads(settings.read_text(encoding="utf-8")).get("chat_template")


def _generation_ends(file: pathlib.Path) -> list[int]:
    """eos_token_id of a generation_config.json: an id, several, or none."""
    if not file.is_file():
        return []
    ends = json.loads(file.read_text(encoding="utf-8")).get("eos_token_id")
    if ends is None:
        return []
    return ends if isinstance(ends, list) else [ends]


def _content(token: str | dict | None) -> str | None:
    """A special token's text: configurations hold it plain or as {"content": ...}."""
    return token["content"] if isinstance(token, dict) else token
