"""Nats a byte of canonical solutions: coding measured where pass@1 cannot see.

    -log p(solution | prompt) / bytes of the solution in UTF-8

with log p the sum over the solution's tokens, each given the prompt and the solution
before it. Nothing is generated. An end of text is not part of a solution.

The join of prompt and solution: the text is encoded as a whole, as texts are in
training. Tokens that lie in the prompt are given, all others are scored. A token that
spans the join (GPT-2's rule makes one token of a line break and the indentation behind
it) is scored as a whole: log p then holds the end of the prompt in it too, of which a
model is nearly sure, and no byte of the solution is left out. To encode the solution
alone would be worse: models have hardly seen a text broken there.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tqdm

from jaxent.decode import loop, plan, prefill
from jaxent.distributed import axes
from jaxent.evaluate import benchmarks
from jaxent.evaluate import prompts as problem_prompts
from jaxent.model import transformer
from jaxent.stats import differences

_LOGITS_BYTES = 1 << 28  # float32 logits alive at once on a device: 256 MiB


@dataclasses.dataclass(frozen=True)
class EncodedSolution:
    """A canonical solution and what it follows, as tokens.

    Attributes:
        task_id: Its problem.
        prompt: Token ids that are given.
        solution: Token ids that are scored, none of them an end of text.
        bytes: Its length in UTF-8.
    """

    task_id: str
    prompt: list[int]
    solution: list[int]
    bytes: int

    @property
    def ids(self) -> list[int]:
        """All token ids."""
        return self.prompt + self.solution


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """A problem that is not measured, and why."""

    task_id: str
    reason: str


def encode_solutions(
    prompts: problem_prompts.Prompts,
    problems: benchmarks.Problems,
    context: int,
) -> tuple[list[EncodedSolution], list[LeftOut]]:
    """Canonical solutions as tokens; nothing is ever cut off.

    Args:
        prompts: How the problems are put to the model.
        problems: The problems.
        context: Tokens that the model was trained on at a time.

    Returns:
        What can be measured, and what cannot: solutions that are empty, that pass the
        context together with their prompts, or whose text the tokenizer does not keep.
    """
    encoded, left_out = [], []
    for problem in problems.items:
        try:
            encoded.append(_encode(prompts, problem, context))
        except ValueError as error:
            left_out.append(LeftOut(problem.task_id, str(error)))
    return encoded, left_out


def _encode(
    prompts: problem_prompts.Prompts, problem: benchmarks.Problem, context: int
) -> EncodedSolution:
    """One solution as tokens; ValueError if it cannot be measured."""
    try:
        size = len(problem.canonical.encode())
    except UnicodeEncodeError as error:
        raise ValueError(f"the canonical solution is no text ({error})") from error
    if not size:
        raise ValueError("the canonical solution is empty")
    before, solution = _split(prompts, problem)
    length = len(before) + len(solution)
    if length > context:
        raise ValueError(
            f"prompt and canonical solution have {length} tokens, expected at most the "
            f"model's context of {context}"
        )
    return EncodedSolution(problem.task_id, before, solution, size)


def _split(
    prompts: problem_prompts.Prompts, problem: benchmarks.Problem
) -> tuple[list[int], list[int]]:
    """The text's tokens: those in the prompt, and those that hold the solution.

    ValueError if the tokens do not hold it as it is written, or nothing precedes it.
    """
    decode = prompts.tokenizer.decode
    text = prompts.write_before_solution(problem) + problem.canonical
    ids = problem_prompts.encode_text(prompts.tokenizer, text)
    decoded = decode(ids)
    if not decoded.endswith(problem.canonical):
        end = decoded[-len(problem.canonical) :]
        raise ValueError(
            f"the tokenizer changes the canonical solution: it ends in {end[-20:]!r}, "
            f"expected {problem.canonical[-20:]!r}"
        )
    given = _common_prefix(ids, prompts.encode_before_solution(problem))
    # The prompt's end may be encoded otherwise alone than before the solution.
    prompt_length = len(decoded) - len(problem.canonical)
    while len(decode(ids[: given + 1])) <= prompt_length:
        given += 1
    if not given:
        raise ValueError("its first token holds a part of the canonical solution")
    return ids[:given], ids[given:]


def _common_prefix(a: list[int], b: list[int]) -> int:
    """How many ids two lists begin with alike."""
    pairs = zip(a, b)
    return next((i for i, (x, y) in enumerate(pairs) if x != y), min(len(a), len(b)))


@functools.partial(jax.jit, static_argnames="compute")
def next_token_nats(
    model: transformer.Transformer,
    token_ids: jax.Array,
    owners: jax.Array,
    positions: jax.Array,
    adapter,
    *,
    compute: transformer.ComputeConfig,
) -> jax.Array:
    """-log p of the token behind each one, given its text so far.

    Args:
        model: The base model.
        token_ids: int32 [P, T], as `owners` and `positions` from
            `prefill.pack_prompts`.
        owners: int32 [P, T], the text of each token, or -1.
        positions: int32 [P, T], of the tokens in their texts.
        adapter: The adapter, or None.
        compute: The arithmetic, and the mesh if any.

    Returns:
        float32 [P, T], in nats; at the last token of a text it means nothing.
    """
    mesh = compute.mesh
    hidden = model(token_ids, owners + 1, positions, adapter, None, compute)
    targets = jnp.roll(token_ids, -1, axis=1)
    rows, columns = token_ids.shape
    size = _chunk_columns(rows, columns, model.config.vocab, mesh)
    padding = -columns % size

    def chunked(x):
        """[P, T, ...] as [chunks, P, size, ...]."""
        x = jnp.pad(x, ((0, 0), (0, padding)) + ((0, 0),) * (x.ndim - 2))
        return x.reshape(rows, -1, size, *x.shape[2:]).swapaxes(0, 1)

    def chunk_nats(chunk):
        h, target = chunk
        logits = axes.constrain(model.logits(h), mesh, "batch", None, "vocab")
        is_target = jnp.arange(logits.shape[-1])[None, None] == target[..., None]
        target_logits = jnp.sum(jnp.where(is_target, logits, 0), axis=-1)
        return jax.nn.logsumexp(logits, axis=-1) - target_logits

    nats = jax.lax.map(chunk_nats, (chunked(hidden), chunked(targets)))
    nats = nats.swapaxes(0, 1).reshape(rows, -1)[:, :columns]
    return axes.constrain(nats, mesh, "batch", None)


def _chunk_columns(rows: int, columns: int, vocabulary: int, mesh) -> int:
    """Columns whose logits are alive at once: a power of two, or all columns."""
    local_rows = -(-rows // axes.axis_size(mesh, "batch"))
    local_vocabulary = -(-vocabulary // axes.axis_size(mesh, "vocab"))
    size = 1
    while (
        size < columns and 2 * size * local_rows * local_vocabulary * 4 <= _LOGITS_BYTES
    ):
        size *= 2
    return min(size, columns)


def solution_nats(
    runner: loop.Runner, encoded: Sequence[EncodedSolution], progress: bool = False
) -> list[float]:
    """-log p of each solution after its prompt.

    Texts are packed into rows as prompts are for decoding; in float32 a text has the
    same value alone.

    Args:
        runner: The model.
        encoded: The solutions.
        progress: Whether to show a progress bar.

    Returns:
        Nats of each, added up in float64.
    """
    if not encoded:
        return []
    texts = [solution.ids for solution in encoded]
    starts = np.array([len(solution.prompt) for solution in encoded])
    nats = np.zeros(len(encoded))
    mesh = runner.mesh
    width = plan.padded_length(max(map(len, texts)))
    with tqdm.tqdm(total=len(texts), desc="likelihood", disable=not progress) as bar:
        for packed in prefill.pack_prompts(texts, width, axes.axis_size(mesh, "batch")):
            token_ids, owners, positions = packed
            arrays = (axes.device_put_logical(x, mesh, "batch", None) for x in packed)
            behind = next_token_nats(
                runner.model, *arrays, runner.adapter, compute=runner.compute
            )
            of_token = np.roll(axes.to_host(behind).astype(np.float64), 1, axis=1)
            scored = (owners >= 0) & (positions >= starts[owners])
            np.add.at(nats, owners[scored], of_token[scored])
            bar.update(len(np.unique(owners[owners >= 0])))
    return nats.tolist()


def make_record(
    encoded: Sequence[EncodedSolution],
    left_out: Sequence[LeftOut],
    nats: Sequence[float],
    base_nats: Sequence[float] | None,
) -> dict[str, Any]:
    """What likelihood.json holds of the solutions.

    Args:
        encoded: The solutions.
        left_out: Problems that are not measured.
        nats: Of the model.
        base_nats: Of the same weights without the adapter; None without an adapter.

    Returns:
        "nats_a_byte" and "base_nats_a_byte", means over problems; the adapter's
        difference from the base "paired" by problem; and every solution. None where
        there is nothing to say.

    Example:
        >>> solution = EncodedSolution("A/0", [1], [2, 3], 4)
        >>> make_record([solution], [], [2.0], None)["nats_a_byte"]
        0.5
    """
    sizes = np.array([solution.bytes for solution in encoded], float)
    rates = np.asarray(nats, float) / sizes
    base = None if base_nats is None else np.asarray(base_nats, float) / sizes
    has_any = bool(len(encoded))
    solutions: list[dict[str, Any]] = [
        {
            "task_id": solution.task_id,
            "bytes": solution.bytes,
            "tokens": len(solution.solution),
            "nats": float(value),
        }
        for solution, value in zip(encoded, nats, strict=True)
    ]
    if base_nats is not None:
        for row, value in zip(solutions, base_nats, strict=True):
            row["base_nats"] = float(value)
    paired = (
        differences.paired_means(rates, base) if has_any and base is not None else None
    )
    return {
        "nats_a_byte": float(rates.mean()) if has_any else None,
        "base_nats_a_byte": float(base.mean())
        if has_any and base is not None
        else None,
        "paired": paired and _without_nan(dataclasses.asdict(paired)),
        "solutions": solutions,
        "left_out": [dataclasses.asdict(one) for one in left_out],
    }


def _without_nan(values: dict[str, Any]) -> dict[str, Any]:
    """The values, NaN as None: JSON has no NaN."""
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in values.items()
    }


def summary(record: dict[str, Any]) -> str:
    """Lines for people: the mean, the difference from the base, what is left out.

    Args:
        record: Of `make_record`.

    Returns:
        The lines.
    """
    count, lines = len(record["solutions"]), []
    if count:
        lines.append(
            f"Canonical solutions: {record['nats_a_byte']:.4f} nats a byte, mean of "
            f"{count} problems"
        )
    paired = record["paired"]
    if paired and paired["t"] is not None:
        lines.append(
            f"  base {record['base_nats_a_byte']:.4f}; adapter minus base "
            f"{paired['estimate']:+.4f} [{paired['low']:+.4f}, {paired['high']:+.4f}], "
            f"t {paired['t']:.1f}; better on {paired['below']} of {count}, sign test p "
            f"{paired['sign_p']:.2g}"
        )
    elif paired:
        lines.append(
            f"  base {record['base_nats_a_byte']:.4f}; adapter minus base "
            f"{paired['estimate']:+.4f}"
        )
    lines += [
        f"  left out {one['task_id']}: {one['reason']}" for one in record["left_out"]
    ]
    return "\n".join(lines)
