"""Numbers that the paper prints in its text, as printed, wrong ones included.

The data is in quotes.json; `errata` says which of them do not agree with the rest.
"""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from jaxent import json_files

_FILE = pathlib.Path(__file__).with_name("quotes.json")


@dataclasses.dataclass(frozen=True)
class Quote:
    """A number printed in the text.

    Attributes:
      id: its name here.
      value: as printed, with `digits` decimals.
      digits: decimals printed.
      sections: where it is printed.
      what: what it is a number of.
      key: the run it is of, named as the rows of `tables`.
    """

    id: str
    value: float
    digits: int
    sections: tuple[str, ...]
    what: str
    key: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def _parse_quote(content: Mapping) -> Quote:
    sections = tuple(content["sections"])
    return Quote(**{**content, "sections": sections})


QUOTES = tuple(map(_parse_quote, json_files.read_json(_FILE, list)))


def find_quote(id: str) -> Quote:
    """Looks a number of the text up.

    Args:
      id: its id.

    Returns:
      The number with where it is printed.

    Raises:
      KeyError: there is none of that id; names the ones there are.

    Example:
      >>> find_quote("z_b2_b3").value
      2.15
    """
    for quote in QUOTES:
        if quote.id == id:
            return quote
    known = ", ".join(quote.id for quote in QUOTES)
    raise KeyError(f"no quoted number {id!r}: there are {known}")
