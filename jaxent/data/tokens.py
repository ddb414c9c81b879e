"""Tokenizers exactly as their tokenizer.json says."""

import codecs
import dataclasses
import functools
import hashlib
import pathlib
from collections.abc import Iterable
from typing import Any

import tokenizers
import transformers

from jaxent import json_files

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

        Raises:
            ValueError: A text holds half of a character (a lone surrogate).
        """
        texts = list(texts)
        if not texts:
            return []
        for number, text in enumerate(texts, 1):
            if json_files.has_lone_surrogate(text):
                raise ValueError(
                    f"text {number} of {len(texts)} holds half of a character (a lone"
                    f" surrogate), expected text in Unicode: {text[:40]!a}"
                )
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

    @functools.cached_property
    def byte_of(self) -> dict[int, int]:
        """By id, the byte of each token such as <0xE2>; empty without byte fallback."""
        names = {f"<0x{byte:02X}>": byte for byte in range(256)}
        vocabulary = self.fast.get_vocab()
        byte_of = {vocabulary[n]: byte for n, byte in names.items() if n in vocabulary}
        letter = vocabulary.get("<0x41>")
        decodes_bytes = letter is not None and self.decode([letter]) == "A"
        return byte_of if decodes_bytes else {}

    @functools.cached_property
    def _special_ids(self) -> set[int]:
        added = self.fast.added_tokens_decoder
        return {id for id, token in added.items() if token.special}

    def is_silent(self, id: int) -> bool:
        """Whether `decode` leaves an id out.

        Args:
            id: A token id.

        Returns:
            True for special tokens, and for ids that the tokenizer does not have.
        """
        return id in self._special_ids or self.fast.convert_ids_to_tokens(id) is None


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
        ValueError: A file is damaged, there is no eos token, or a special token is not
            in the file: transformers would give it an id past the embedding.

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
    content = json_files.read_bytes(file)
    raw = _parse_tokenizer(content, str(file))
    special = _special_tokens(file.with_name("tokenizer_config.json"), raw)
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=raw, **special)
    bos, eos, pad = fast.bos_token_id, fast.eos_token_id, fast.pad_token_id
    adds_bos = bos is not None and fast("a")["input_ids"][:1] == [bos]
    ends = {eos, *_generation_ends(file.with_name("generation_config.json"))}
    return Tokenizer(
        fast,
        hashlib.sha256(content).hexdigest(),
        bos if adds_bos else None,
        eos,
        eos if pad is None else pad,
        tuple(sorted(ends)),
    )


def _parse_tokenizer(content: bytes, where: str) -> tokenizers.Tokenizer:
    """The tokenizer of a tokenizer.json; FileError if the library cannot read it."""
    try:
        return tokenizers.Tokenizer.from_buffer(content.removeprefix(codecs.BOM_UTF8))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # the library's panics are no Exceptions
        json_files.parse_json(content, where)  # has the better message of damaged JSON
        reason = str(error).partition("from buffer: ")[2] or str(error)
        raise json_files.FileError(
            where, f": tokenizers {tokenizers.__version__} cannot read it ({reason})"
        ) from error


def _special_tokens(file: pathlib.Path, raw: tokenizers.Tokenizer) -> dict[str, str]:
    """The special tokens that a tokenizer_config.json names, all in the tokenizer."""
    settings = json_files.read_json(file) if file.is_file() else {}
    named = {name: _content(settings.get(name), f"{file}: {name}") for name in _SPECIAL}
    special = {name: token for name, token in named.items() if token}
    for name in _SPECIAL:
        known = name in special and raw.token_to_id(special[name]) is not None
        if not known and (name in special or name == "eos_token"):
            problem = f": {name} {named[name]!r}, expected a token of tokenizer.json"
            raise json_files.FileError(str(file), problem)
    return special


def _generation_ends(file: pathlib.Path) -> list[int]:
    """eos_token_id of a generation_config.json: an id, several, or none."""
    if not file.is_file():
        return []
    value = json_files.read_json(file).get("eos_token_id")
    if value is None:
        return []
    ends = value if isinstance(value, list) else [value]
    if not all(type(end) is int and end >= 0 for end in ends):
        problem = f": eos_token_id {value!r}, expected a token id or a list of them"
        raise json_files.FileError(str(file), problem)
    return ends


def _content(token: Any, where: str) -> str | None:
    """A special token's text: configurations hold it plain or as {"content": ...}."""
    text = token.get("content") if isinstance(token, dict) else token
    if text is not None and not isinstance(text, str):
        raise json_files.FileError(where, f" {token!r}, expected the text of a token")
    return text
