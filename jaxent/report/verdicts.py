"""A verdict on each of the paper's claims, from runs of the paper's models.

Supported: every difference the claim names is on its side, with every interval there is
(over seeds, replicate sets, problems). Contradicted: one of them is as clearly on the
other side, at a level corrected for their number. Otherwise not decided.
"""

import dataclasses

from jaxent.paper import claims
from jaxent.paper import models as paper_models
from jaxent.report import claim_tests, comparisons, evidence, match, single_claims

SUPPORTED = comparisons.SUPPORTED
CONTRADICTED = comparisons.CONTRADICTED
UNDECIDED = comparisons.UNDECIDED

_SAMPLED_AS = {"he_plus_loss": "he_plus"}
_NOT_SAMPLED = {"ei_at_2500"}  # its test reads EI at several steps


@dataclasses.dataclass(frozen=True)
class Verdict:
    """A verdict on one claim.

    Attributes:
      claim: the claim.
      outcome: `SUPPORTED`, `CONTRADICTED` or `UNDECIDED`.
      numbers: the numbers in words, a line a cell.
      test: the test in words, a line a comparison.
      why: if it is not decided, why.
    """

    claim: claims.Claim
    outcome: str
    numbers: str
    test: str
    why: str = ""


def decide_all(results: match.ResultSet) -> list[Verdict]:
    """Gives a verdict on each claim.

    Args:
      results: the paper's records.

    Returns:
      The verdicts in the order of `claims.CLAIMS`.

    Example:
      >>> decide_all(match.ResultSet())[0].why
      'Qwen-7B B3 was not run.'
    """
    return [decide(claim, results) for claim in claims.CLAIMS]


def decide(claim: claims.Claim, results: match.ResultSet) -> Verdict:
    """Gives a verdict on one claim.

    Args:
      claim: the claim.
      results: the paper's records.

    Returns:
      The verdict; not decided, with the reason, where a run that it needs is missing.
    """
    test = single_claims.BY_CLAIM.get(claim.id, claim_tests.TESTS[claim.test])
    try:
        decision = test(claim, results)
    except evidence.MissingError as error:
        reason = str(error)
        why = f"{reason[0].upper()}{reason[1:]}."
        numbers = _numbers_there_are(claim, results)
        decision = claim_tests.Decision(UNDECIDED, numbers, "")
    else:
        undecided = decision.outcome == UNDECIDED
        why = "The test leaves it open." if undecided else ""
    return Verdict(
        claim,
        decision.outcome,
        _name_model_once(claim, decision.numbers),
        _name_model_once(claim, decision.test),
        why,
    )


def _name_model_once(claim: claims.Claim, text: str) -> str:
    """The model's name on a line of its own, where all runs are of one."""
    names = {paper_models.short_name(key["model"]) for key in claim.runs}
    if len(names) != 1:
        return text
    [name] = names
    if text.count(f"{name} ") < 2:
        return text
    return f"{name}\n{text.replace(f'{name} ', '')}"


def _numbers_there_are(claim: claims.Claim, results: match.ResultSet) -> str:
    """The numbers of those of the claim's runs that are in the folder."""
    if claim.metric in _NOT_SAMPLED:
        return ""
    metric = _SAMPLED_AS.get(claim.metric, claim.metric)
    texts = []
    for key in claim.runs:
        try:
            texts.append(evidence.get_sample(results, metric, key).text)
        except evidence.MissingError:
            continue
    return "\n".join(texts)
