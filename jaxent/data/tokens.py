"""Tokenizers exactly as their tokenizer.json says."""

import codecs
import contextlib
import dataclasses
import functools
import hashlib
import pathlib
import tempfile
from collections.abc import Iterable, Iterator

import tokenizers
import transformers
from absl import logging

from jaxent import json_files
from jaxent.data import generation_config

_SPECIAL = ("bos_token", "eos_token", "pad_token", "unk_token")
_TOKEN_FILES = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
# Tokens that transformers' classes have where no file names them.
_LLAMA = {"eos_token": "</s>"}
_QWEN = {"eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}
_CLASS_DEFAULTS = {
    "CodeLlamaTokenizer": _LLAMA,
    "GPT2Tokenizer": {"eos_token": "<|endoftext|>"},
    "LlamaTokenizer": _LLAMA,
    "Qwen2Tokenizer": _QWEN,
}


@dataclasses.dataclass(frozen=True)
class Tokenizer:
    """A checkpoint's tokenizer.

    Attributes:
        fast: The tokenizer of transformers.
        hash: The sha256 of its tokenizer.json.
        bos_id: What it starts a text with; None where it adds nothing.
        eos_id: What ends a text.
        pad_id: What fills rows.
        eos_ids: Every id that ends a generation: eos_id, which ends the texts of
            training, and those that end it in transformers.
        vocab: Rows of the model's embedding; None where no config.json says.
    """

    fast: transformers.PreTrainedTokenizerFast
    hash: str
    bos_id: int | None
    eos_id: int
    pad_id: int
    eos_ids: tuple[int, ...]
    vocab: int | None = None

    @functools.cached_property
    def _past_embedding(self) -> dict[int, str]:
        """Tokens without a row in the embedding: in PyTorch they raise IndexError."""
        if self.vocab is None:
            return {}
        known = self.fast.get_vocab().items()
        return {index: token for token, index in known if index >= self.vocab}

    def encode(self, texts: Iterable[str]) -> list[list[int]]:
        """Token ids of each text, with the special tokens that the tokenizer adds.

        Args:
            texts: The texts.

        Returns:
            The ids of each (Llama's and Mistral's start with bos).

        Raises:
            ValueError: A text holds half of a character (a lone surrogate), or a token
                that has no row in the embedding.
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
        encoded = self.fast(texts, return_attention_mask=False)["input_ids"]
        if self._past_embedding:
            for text, ids in zip(texts, encoded):
                self._check_ids(text, ids)
        return encoded

    def _check_ids(self, text: str, ids: list[int]) -> None:
        for index in ids:
            if index in self._past_embedding:
                raise ValueError(
                    f"text {text[:40]!r}: its token {self._past_embedding[index]!r} has"
                    f" id {index}, expected one below the model's vocab_size"
                    f" {self.vocab}"
                )

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
    drops a leading space that the file keeps. Special and added tokens are those that
    transformers finds in tokenizer_config.json, special_tokens_map.json and
    added_tokens.json. Where they name no eos token it is that of the tokenizer's class,
    or else of the model (generation_config.json, config.json).

    Args:
        folder: The checkpoint's folder.

    Returns:
        The tokenizer.

    Raises:
        FileNotFoundError: There is no tokenizer.json.
        ValueError: A file is damaged, there is no eos token, or a special token is not
            in the file (then transformers would give it an id past the vocabulary), or
            has no row in the embedding.

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
    folder = file.parent
    content = json_files.read_bytes(file)
    raw = _parse_tokenizer(content, str(file))
    fast = _load_fast(folder)
    ends = generation_config.read_generation_ends(folder)
    _add_defaults(fast, raw, folder, ends)
    _check_special_tokens(fast, raw, folder)
    _warn_of_unapplied(folder)
    bos, eos, pad = fast.bos_token_id, fast.eos_token_id, fast.pad_token_id
    adds_bos = bos is not None and fast("a")["input_ids"][:1] == [bos]
    tokenizer = Tokenizer(
        fast,
        hashlib.sha256(content).hexdigest(),
        bos if adds_bos else None,
        eos,
        eos if pad is None else pad,
        tuple(sorted({eos, *ends})),
        _read_settings(folder / "config.json").get("vocab_size"),
    )
    _check_embedded(tokenizer, folder)
    return tokenizer


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


def _load_fast(folder: pathlib.Path) -> transformers.PreTrainedTokenizerFast:
    """transformers' tokenizer of a folder, with every token that its files name."""
    named, *_ = (_read_settings(folder / name) for name in _TOKEN_FILES)
    _check_texts(named, folder / _TOKEN_FILES[0])
    # transformers 5 reads tokens as dictionaries only where they state their type.
    plain = {
        name: named[name].get("content")
        for name in _SPECIAL
        if isinstance(named.get(name), dict) and "__type" not in named[name]
    }
    try:
        with _without_marks(folder) as readable:
            return transformers.PreTrainedTokenizerFast.from_pretrained(
                readable, **plain
            )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{folder}: {', '.join(_TOKEN_FILES)} or tokenizer.json has a value that"
            f" transformers cannot use ({error})"
        ) from error


def _check_texts(named: dict, file: pathlib.Path) -> None:
    """Checks that special tokens are texts, plain or as {"content": ...}."""
    for name in _SPECIAL:
        token = named.get(name)
        text = token.get("content") if isinstance(token, dict) else token
        if not (text is None and not isinstance(token, dict) or isinstance(text, str)):
            problem = f": {name} {token!r}, expected the text of a token"
            raise json_files.FileError(str(file), problem)


@contextlib.contextmanager
def _without_marks(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """The folder, or one with its token files without the byte order marks they have.

    transformers reads no UTF-8 that starts with one.
    """
    names = ("tokenizer.json", "chat_template.jinja", *_TOKEN_FILES)
    files = [folder / name for name in names]
    contents = {file.name: file.read_bytes() for file in files if file.is_file()}
    if not any(content.startswith(codecs.BOM_UTF8) for content in contents.values()):
        yield folder
        return
    with tempfile.TemporaryDirectory() as copy:
        for name, content in contents.items():
            plain = content.removeprefix(codecs.BOM_UTF8)
            (pathlib.Path(copy) / name).write_bytes(plain)
        yield pathlib.Path(copy)


def _add_defaults(
    fast: transformers.PreTrainedTokenizerFast,
    raw: tokenizers.Tokenizer,
    folder: pathlib.Path,
    ends: list[int],
) -> None:
    """Gives the tokenizer an eos token, and a pad token, that its class would have."""
    named = _read_settings(folder / "tokenizer_config.json")
    for name, token in _class_defaults(named, folder).items():
        missing = getattr(fast, name) is None and name not in named
        if missing and raw.token_to_id(token) is not None:
            setattr(fast, name, token)
    if fast.eos_token is None and ends:
        fast.eos_token = raw.id_to_token(ends[0])


def _class_defaults(named: dict, folder: pathlib.Path) -> dict[str, str]:
    """Of the class that transformers' AutoTokenizer takes."""
    config = _read_settings(folder / "config.json")
    family = config.get("model_type")
    if family == "mistral":
        return {}
    stated = named.get("tokenizer_class") or config.get("tokenizer_class")
    is_qwen = family == "qwen2" or (family == "qwen3" and not stated)
    name = "Qwen2Tokenizer" if is_qwen else str(stated).removesuffix("Fast")
    return _CLASS_DEFAULTS.get(name, {})


def _check_special_tokens(
    fast: transformers.PreTrainedTokenizerFast,
    raw: tokenizers.Tokenizer,
    folder: pathlib.Path,
) -> None:
    """Checks that special tokens are tokens of tokenizer.json, and that eos is one."""
    for name in _SPECIAL:
        token = getattr(fast, name)
        known = token is not None and raw.token_to_id(token) is not None
        if not known and (token is not None or name == "eos_token"):
            raise ValueError(
                f"{folder / 'tokenizer_config.json'}: {name} {token!r}, expected a"
                " token of tokenizer.json"
            )


def _check_embedded(tokenizer: Tokenizer, folder: pathlib.Path) -> None:
    """Checks that bos, eos, pad and all ends have a row in the embedding."""
    special = [
        ("eos", tokenizer.eos_id),
        ("pad", tokenizer.pad_id),
        *(("end", index) for index in tokenizer.eos_ids),
    ]
    if tokenizer.bos_id is not None:
        special.append(("bos", tokenizer.bos_id))
    for name, index in special:
        if tokenizer.vocab is not None and index >= tokenizer.vocab:
            token = tokenizer.fast.convert_ids_to_tokens(index)
            raise ValueError(
                f"{folder}: {name} token {token!r} has id {index}, expected one below"
                f" the model's vocab_size {tokenizer.vocab}"
            )


@functools.cache
def _warn_of_unapplied(folder: pathlib.Path) -> None:
    """Says once which settings of generation are the flags' alone."""
    unapplied = generation_config.read_unapplied(folder)
    if unapplied:
        logging.warning(
            "%s: %s would change greedy decoding in transformers and is not applied:"
            " decoding follows its flags alone",
            folder,
            ", ".join(f"{key} {value!r}" for key, value in unapplied.items()),
        )


def _read_settings(file: pathlib.Path) -> dict:
    """The dictionary of a JSON file; empty where there is none."""
    return json_files.read_json(file) if file.is_file() else {}
