"""Answers in sentences, from what a study recorded: for the terminal and the page."""

import math
from collections.abc import Mapping

_LEAST_ORDERS = 20
"""With fewer orders, one order alone is too likely by chance (more than 5%)."""


def companion_answer(judged: Mapping[str, Mapping]) -> str:
    """Says whether two axes order companions better than crosstalk alone.

    n companions make n (n - 1) / 2 pairs and n! orders.

    Args:
      judged: by predictor ("two axes", "crosstalk"), the number of `pairs` and of
        those in the right order, `right`.

    Returns:
      Two sentences.

    Example:
      >>> answer = companion_answer(
      ...     {
      ...         "two axes": {"right": 3, "pairs": 3},
      ...         "crosstalk": {"right": 1, "pairs": 3},
      ...     }
      ... )
      >>> answer.split(": ")[1].split(".")[0]
      'better'
    """
    both, alone = judged["two axes"], judged["crosstalk"]
    if both["pairs"] < alone["pairs"]:
        return "Two axes cannot say: transfer is undefined for some companion."
    companions = (1 + math.isqrt(1 + 8 * alone["pairs"])) // 2
    orders = math.factorial(companions)
    few = " cannot decide it" if orders < _LEAST_ORDERS else ""
    return (
        f"Two axes order {both['right']} of {both['pairs']} pairs rightly, "
        f"crosstalk alone {alone['right']}: {_compare(both['right'], alone['right'])}. "
        f"{companions} companions{few}: "
        f"any order is right by chance once in {orders} times."
    )


def _compare(both: int, alone: int) -> str:
    if both > alone:
        return "better"
    if both < alone:
        return "worse"
    return "no difference"
