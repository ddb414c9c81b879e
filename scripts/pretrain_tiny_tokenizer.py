"""Trains the embedded checkpoints' byte-level BPE tokenizer on the embedded texts.

    python scripts/pretrain_tiny_tokenizer.py FOLDER [VOCAB_SIZE]

Qwen2's normalizer (NFC), pre-tokenizer and byte-level decoder, so any text comes back
as its NFC form; `<|endoftext|>` is id 0, end of text and padding at once, and nothing
is added at the start. Writes tokenizer.json and tokenizer_config.json, and prints the
bytes per token of held-out text.
"""

import json
import pathlib
import random
import sys

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from jaxent.data import embedded

END_OF_TEXT = "<|endoftext|>"
QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
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
    """An untrained byte-level BPE, otherwise like Qwen2's tokenizer."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    words = pre_tokenizers.Split(tokenizers.Regex(QWEN2_SPLIT), behavior="isolated")
    raw_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, raw_bytes])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def balanced_texts(seed: int = 0) -> list[str]:
    """Training texts in random order, equally many bytes of each domain."""
    domains = [embedded.split(domain)[0] for domain in embedded.DOMAINS]
    budget = min(sum(len(text.encode()) for text in texts) for texts in domains)
    return [
        text
        for texts in domains
        for text in _within(texts, budget, random.Random(seed))
    ]


def _within(texts: list[str], budget: int, rng: random.Random) -> list[str]:
    """Texts in random order, up to a number of bytes."""
    taken = []
    for text in rng.sample(texts, len(texts)):
        budget -= len(text.encode())
        if budget < 0:
            break
        taken.append(text)
    return taken


def train_tokenizer(vocab_size: int = 2048) -> tokenizers.Tokenizer:
    """Trains a tokenizer on the training texts of all domains.

    Args:
        vocab_size: Its entries, 256 bytes and `<|endoftext|>` among them.

    Returns:
        The tokenizer.

    Raises:
        ValueError: vocab_size is below 257.
    """
    if vocab_size < 257:
        raise ValueError(
            f"vocab_size: found {vocab_size}, expected 257 or more"
            f" (256 bytes and {END_OF_TEXT})"
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
    text = json.dumps(CONFIG, indent=2) + "\n"
    (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")


def bytes_per_token(tokenizer: tokenizers.Tokenizer, texts: list[str]) -> float:
    """UTF-8 bytes of the texts over their tokens."""
    tokens = sum(len(encoding.ids) for encoding in tokenizer.encode_batch(texts))
    return sum(len(text.encode()) for text in texts) / tokens


def main(folder: str, vocab_size: int) -> None:
    """Trains and saves the tokenizer, and prints how well it compresses."""
    tokenizer = train_tokenizer(vocab_size)
    save(tokenizer, folder)
    for domain in embedded.DOMAINS:
        held_out = embedded.split(domain)[1]
        print(f"{domain:9} {bytes_per_token(tokenizer, held_out):.3f} bytes a token")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: pretrain_tiny_tokenizer.py FOLDER [VOCAB_SIZE]")
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) == 3 else 2048)
