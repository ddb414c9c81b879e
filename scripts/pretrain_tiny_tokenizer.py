"""Trains the byte-level BPE tokenizer of the embedded checkpoint.

    python scripts/pretrain_tiny_tokenizer.py FOLDER [VOCAB_SIZE]

It is trained on as many bytes of each of the four embedded domains.

Qwen2's normalizer (NFC), pre-tokenizer and byte-level decoder, so any text comes back
as its NFC form; `<|endoftext|>` is id 0, end of text and padding at once, and nothing
is added at the start. Writes tokenizer.json and tokenizer_config.json, and prints the
bytes per token of held-out text.
"""

import argparse
import json
import pathlib
import random

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from jaxent.data import embedded

END_OF_TEXT = "<|endoftext|>"
QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "bos_token": None,
    "eos_token": END_OF_TEXT,
    "pad_token": END_OF_TEXT,
    "unk_token": None,
    "model_max_length": 512,
    "clean_up_tokenization_spaces": False,
}


def empty_tokenizer() -> tokenizers.Tokenizer:
    """Untrained byte-level BPE with Qwen2's normalizer, pre-tokenizer and decoder."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    words = pre_tokenizers.Split(tokenizers.Regex(QWEN2_SPLIT), behavior="isolated")
    raw_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, raw_bytes])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def balanced_texts(seed: int = 0) -> list[str]:
    """Training texts, each domain in random order and cut to the smallest one's bytes.

    Args:
      seed: of the order.
    """
    domains = [embedded.split(domain)[0] for domain in embedded.DOMAINS]
    budget = min(sum(len(text.encode()) for text in texts) for texts in domains)
    taken = []
    for texts in domains:
        taken += _within(texts, budget, random.Random(seed))
    return taken


def _within(texts: list[str], budget: int, rng: random.Random) -> list[str]:
    """Texts in random order up to the first that exceeds so many bytes together."""
    taken = []
    for text in rng.sample(texts, len(texts)):
        budget -= len(text.encode())
        if budget < 0:
            break
        taken.append(text)
    return taken


def train_tokenizer(vocab_size: int = 2048) -> tokenizers.Tokenizer:
    """Trains the tokenizer on `balanced_texts`.

    Args:
      vocab_size: its entries, 256 bytes and `<|endoftext|>` among them.

    Returns:
      The tokenizer of exactly so many entries.

    Raises:
      ValueError: below 257 entries.
    """
    if vocab_size < 257:
        raise ValueError(
            f"vocab_size: found {vocab_size}, expected 257 or more (256 bytes and "
            f"{END_OF_TEXT})"
        )
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer = empty_tokenizer()
    tokenizer.train_from_iterator(balanced_texts(), trainer)
    return tokenizer


def save(tokenizer: tokenizers.Tokenizer, folder: str | pathlib.Path) -> None:
    """Writes the tokenizer's two files of a Hugging Face folder, making the folder."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")


def bytes_per_token(tokenizer: tokenizers.Tokenizer, texts: list[str]) -> float:
    """UTF-8 bytes of the texts over their tokens."""
    tokens = sum(len(encoding.ids) for encoding in tokenizer.encode_batch(texts))
    return sum(len(text.encode()) for text in texts) / tokens


def main() -> None:
    """Trains and writes the tokenizer of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", help="where tokenizer.json is written")
    parser.add_argument("vocab_size", type=int, nargs="?", default=2048)
    words = parser.parse_args()
    tokenizer = train_tokenizer(words.vocab_size)
    save(tokenizer, words.folder)
    for domain in embedded.DOMAINS:
        rate = bytes_per_token(tokenizer, embedded.split(domain)[1])
        print(f"{domain:9} {rate:.3f} bytes a token")


if __name__ == "__main__":
    main()
