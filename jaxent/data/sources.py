"""The data sets by domain: where each is, on the Hub and in local files.

They are in parquet or JSON, because datasets 5 runs no loading scripts. Where an
original is gone, the next best stands in the table:

- code_search_net: the original, converted to parquet; fallback claudios/code_search_net
  (same columns).
- CodeAlpaca-20k: the original, one JSON file; fallback zhan1993/code_alpaca_20k
  (parquet, same columns).
- gsm8k, wikipedia, cnn_dailymail: the originals under their owners' names, parquet.
- competition_math: hendrycks/competition_math was taken down in January 2025 (DMCA
  notice). This copy keeps its columns and its 7,500 training rows apart from the 5,000
  for testing. Fallbacks: qwedsacf/competition_math (all 12,500 rows in one split, the
  test rows too) and EleutherAI/hendrycks_math (seven configurations, one a subject).
- fiction: the paper names none. TinyStories: parquet, CDLA-Sharing, fiction throughout,
  but short and machine-written; fallback for human prose: sedthh/gutenberg_english
  (column TEXT, whole books, not all of them fiction).
"""

import dataclasses
import pathlib
from collections.abc import Callable, Iterable

from jaxent.data import formats


@dataclasses.dataclass(frozen=True)
class Source:
    """One data set.

    Attributes:
        name: Its name here.
        domain: Its domain.
        hub: Its id on the Hub, configuration and split.
        files: Its files below a data root; the first that exists is read.
        columns: The columns that the text is made of.
        text: The text of a row (`formats`).
    """

    name: str
    domain: str
    hub: tuple[str, str | None, str]
    files: tuple[str, ...]
    columns: tuple[str, ...]
    text: Callable[[dict], str]

    def local_file(self, root: str) -> pathlib.Path:
        """The first of the files that exists below the folder `root`.

        Raises:
            FileNotFoundError: None exists.
        """
        for name in self.files:
            file = pathlib.Path(root) / name
            if file.is_file():
                return file
        raise FileNotFoundError(
            f"data root {root}: none of {', '.join(self.files)} is there,"
            f" expected {self.name}'s rows"
        )


SOURCES = (
    Source(
        "code_search_net_python",
        "code",
        ("code-search-net/code_search_net", "python", "train"),
        ("code_search_net/python.jsonl",),
        ("whole_func_string",),
        formats.function_text,
    ),
    Source(
        "code_search_net_javascript",
        "code",
        ("code-search-net/code_search_net", "javascript", "train"),
        ("code_search_net/javascript.jsonl",),
        ("func_documentation_string", "whole_func_string"),
        formats.commented_text,
    ),
    Source(
        "codealpaca",
        "code",
        ("sahil2801/CodeAlpaca-20k", None, "train"),
        ("codealpaca/code_alpaca_20k.json", "codealpaca/code_alpaca_2k.json"),
        ("instruction", "input", "output"),
        formats.alpaca_text,
    ),
    Source(
        "gsm8k",
        "math",
        ("openai/gsm8k", "main", "train"),
        ("gsm8k/train.jsonl",),
        ("question", "answer"),
        formats.gsm8k_text,
    ),
    Source(
        "competition_math",
        "math",
        ("DigitalLearningGmbH/MATH-lighteval", "default", "train"),
        ("competition_math/train.jsonl",),
        ("problem", "solution"),
        formats.competition_text,
    ),
    Source(
        "wikipedia",
        "natural",
        ("wikimedia/wikipedia", "20231101.en", "train"),
        ("wikipedia/train.jsonl", "wikipedia/wikitext2_raw_test.txt"),
        ("title", "text"),
        formats.article_text,
    ),
    Source(
        "cnn_dailymail",
        "natural",
        ("abisee/cnn_dailymail", "3.0.0", "train"),
        ("cnn_dailymail/train.jsonl", "cnn_dailymail/wikinews_gum.jsonl"),
        ("article", "highlights"),
        formats.news_text,
    ),
    Source(
        "fiction",
        "creative",
        ("roneneldan/TinyStories", None, "train"),
        ("creative/train.jsonl", "creative/standardebooks.jsonl"),
        ("text",),
        formats.plain_text,
    ),
)


def describe_root(selected: Iterable[Source]) -> str:
    """What a folder of local files must hold, in words.

    Args:
        selected: The data sets that are asked for.

    Returns:
        Each one's files and columns.

    Example:
        >>> describe_root([SOURCES[3]])
        'gsm8k/train.jsonl (columns question, answer)'
    """
    return "; ".join(
        f"{' or '.join(source.files)} (columns {', '.join(source.columns)})"
        for source in selected
    )
