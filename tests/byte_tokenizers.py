"""Small tokenizers of single bytes, written as a checkpoint's files."""

import json
import pathlib

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, processors

SPECIAL = ("<s>", "</s>")


def write(
    folder: pathlib.Path,
    merges: tuple[tuple[str, str], ...] = (),
    adds: str = "$A",
    normalizer=None,
    **settings,
) -> pathlib.Path:
    """Writes a byte-level BPE tokenizer.

    Args:
        folder: Where tokenizer.json and tokenizer_config.json go.
        merges: Pairs of tokens that become one, in the alphabet of byte-level BPE.
        adds: What it makes of a text $A: "<s> $A </s>" adds both.
        normalizer: Of the text, or None.
        **settings: Further keys of tokenizer_config.json.
    """
    folder.mkdir(parents=True, exist_ok=True)
    letters = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    vocabulary = {text: i for i, text in enumerate(letters)}
    for a, b in merges:
        vocabulary[a + b] = len(vocabulary)
    tokenizer = tokenizers.Tokenizer(models.BPE(vocabulary, list(merges)))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.add_special_tokens(list(SPECIAL))
    ids = [(text, vocabulary[text]) for text in SPECIAL]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=adds, special_tokens=ids
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    about = {"tokenizer_class": "PreTrainedTokenizerFast"}
    about |= {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(about | settings))
    return folder
