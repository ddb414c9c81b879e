"""Two axes of a companion domain, from the base model itself.

Interference with a target domain is crosstalk (section 3.6) on activations of the
domains' own training texts, so that every domain has one. Transfer to the target is
cheap: the alignment of the domains' gradients at the initial adapter, and the fall of
the target's held-out loss after a few steps on the companion alone. Neither trains on a
mixture.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence

import jax
import numpy as np

from jaxent.companion import scores
from jaxent.data import corpora, embedded, examples, mix
from jaxent.measure import capture, concepts, crosstalk
from jaxent.model import trained
from jaxent.runs import base_model
from jaxent.runs import spec as specs
from jaxent.train import gradient, held_out, loop
from jaxent.train import step as steps

_TEXTS = 96  # texts of each domain whose activations are compared
_TEXT_TOKENS = 64  # tokens of each text


def one_domain(domain: str) -> mix.Mixture:
    """A mixture of one domain."""
    return mix.Mixture((mix.Phase(0, ((domain, 100),)),))


def make_batches(
    domain: str, tokenizer, length: int, root: str | None, limit: int, number: int
) -> held_out.Batches:
    """Texts of a domain that no run trains on, as packed rows.

    They are of the held-out split where the embedded texts are read, else those that
    follow the first `limit` examples of each source.

    Args:
      domain: the domain.
      tokenizer: the model's.
      length: tokens of a row.
      root: folder of the data, "embedded", or None for the Hub.
      limit: examples of each source that runs train on.
      number: about how many texts.

    Returns:
      By domain, of which there is one, batches of one row [1, length].

    Raises:
      ValueError: if nothing is held out.
    """
    texts = _held_out_texts(domain, root, limit, number)
    if not texts:
        raise ValueError(
            f"{domain}: no source has more than --max_train_samples {limit} examples, "
            "expected some to hold out: lower it"
        )
    encoded = [
        np.array([*ids, tokenizer.eos_id][:length], np.int32)
        for ids in tokenizer.encode(texts)
    ]
    apart = [
        examples.Example(ids, np.ones(len(ids), bool))
        for ids in encoded
        if len(ids) > 1
    ]
    return held_out.make_batches({domain: apart}, length, 1)


def _held_out_texts(
    domain: str, root: str | None, limit: int, number: int
) -> list[str]:
    """About `number` texts that no run trains on."""
    if root == corpora.EMBEDDED:
        texts = embedded.split(domain)[1]
        return texts[:: max(1, len(texts) // number)][:number]
    sources = corpora.select_sources([domain])
    share = -(-number // len(sources))
    return [
        text
        for source in sources
        for text in corpora.read_texts(source, root, limit + share)[limit:]
    ]


@dataclasses.dataclass(frozen=True)
class Bench:
    """What everything is measured on.

    Attributes:
      base: the base model.
      run: settings.
      corpus: training texts.
      length: tokens of a row.
      scored: held-out rows of the target, [1, length] each.
    """

    base: base_model.BaseModel
    run: specs.RunSpec
    corpus: corpora.Corpus
    length: int
    scored: held_out.Batches

    def with_seed(self, seed: int) -> "Bench":
        """The same with another seed."""
        return dataclasses.replace(self, run=dataclasses.replace(self.run, seed=seed))

    def batch(self, domain: str, step: int):
        """One optimizer step's micro-batches of a domain alone, and its used rows."""
        batch, rows = self.corpus.batch(
            one_domain(domain),
            self.run.seed,
            step,
            self.length,
            self.run.batch_size,
            self.run.packing,
        )
        return steps.shard_batch(batch, self.run.micro_batch_size, None), rows

    def initial_state(self, hyper: steps.TrainConfig) -> steps.TrainState:
        """The state before the first step, of the run's seed."""
        return loop.initial_state(
            self.base.model,
            loop.LoopConfig(hyper, self.run.lora_config, self.base.compute),
            self.run.seed,
        )

    def loss(self, adapter: trained.Trained | None = None) -> float:
        """Mean nats a token of the held-out rows, without dropout."""
        model, compute = self.base.model, self.base.compute
        return held_out.score(model, self.scored, adapter, compute)["loss"]


def measure_axes(
    bench: Bench,
    target: str,
    companions: Sequence[str],
    seeds: Sequence[int],
    number: int,
    few: int,
) -> dict[str, scores.Axes]:
    """Every companion on both axes.

    Args:
      bench: what everything is measured on.
      target: the target domain.
      companions: the companion domains.
      seeds: of the initial adapters and the batches.
      number: batches that a gradient is the mean of.
      few: steps on a companion alone.

    Returns:
      Axes by domain, those of the target itself last (its crosstalk is NaN).
    """
    ct = interference(bench.base, bench.corpus, target, companions)
    before = bench.loss()
    domains = (*companions, target)
    axes = {
        domain: scores.Axes(ct.get(domain, math.nan), cosine=[], alignment=[], drop=[])
        for domain in domains
    }
    for seed in seeds:
        seeded = bench.with_seed(seed)
        halves = {one: _gradient_halves(seeded, one, number) for one in domains}
        for domain, measured in axes.items():
            cosine, alignment = gradient_alignment(halves[target], halves[domain])
            measured.cosine.append(cosine)
            measured.alignment.append(alignment)
            measured.drop.append(before - _loss_after(seeded, domain, few))
    return axes


def interference(
    base: base_model.BaseModel,
    corpus: corpora.Corpus,
    target: str,
    companions: Sequence[str],
) -> dict[str, float]:
    """Crosstalk of the target with each companion.

    It is measured on the starts of training texts, spread over each source.
    """
    rows, ids = [], []
    for domain in (target, *companions):
        sources = list(corpus.domains[domain].values())
        for i in range(_TEXTS):
            source = sources[i % len(sources)]
            ids.append(source[i * len(source) // _TEXTS][:_TEXT_TOKENS].tolist())
            rows.append({"domain": domain})
    x = capture.capture(base.model, ids, compute=base.compute)
    measured = crosstalk.crosstalk(x, concepts.label_probes(rows, ("domain",)))
    return {c: measured.pair(target, c, "continuous").ct for c in companions}


def _gradient_halves(bench: Bench, domain: str, number: int) -> list[dict]:
    """The sums of gradients over even and over odd batches.

    Of the factors B alone: B is 0 at the start, so that A has no gradient.
    """
    state = bench.initial_state(bench.run.train_config)
    gradient = _jit_gradient(bench.base.compute)
    halves: list[dict] = [{}, {}]
    for i in range(2 * -(-number // 2)):
        _, gradients, _ = gradient(
            bench.base.model, state.adapter, *bench.batch(domain, i), None
        )
        factors = gradients.params.items()
        of_b = {path: np.asarray(one.b) for path, one in factors}
        half = halves[i % 2]
        halves[i % 2] = jax.tree.map(np.add, half, of_b) if half else of_b
    return halves


@functools.lru_cache(maxsize=4)
def _jit_gradient(compute):
    """`step_gradient`, jitted once for all benches."""
    return jax.jit(functools.partial(gradient.step_gradient, compute=compute))


def gradient_alignment(a: Sequence, b: Sequence) -> tuple[float, float | None]:
    """Cosine of two mean gradients, and what it would be without sampling noise.

    The reliability of a mean of two halves that agree with cosine c is 2 c / (1 + c)
    (Spearman and Brown); alignment = cosine / sqrt(r_a r_b). Halves share no examples.

    Args:
      a: the two halves of one gradient, trees of arrays.
      b: the two halves of another; the same object as `a` for the same domain, of which
        the cosine is the halves' own.

    Returns:
      (cosine, alignment); alignment is None where a reliability is not positive.

    Example:
      >>> east, north = np.array([1.0, 0.0]), np.array([1.0, 1.0])
      >>> cosine, alignment = gradient_alignment([east, east], [north, north])
      >>> round(cosine, 3), round(alignment, 3)
      (0.707, 0.707)
    """
    a_even, a_odd = (_flatten(half) for half in a)
    b_even, b_odd = (_flatten(half) for half in b)
    if a is b:
        return _cosine(a_even, a_odd), 1.0
    cosine = _cosine(a_even + a_odd, b_even + b_odd)
    reliabilities = _reliability(a_even, a_odd), _reliability(b_even, b_odd)
    if min(reliabilities) <= 0:
        return cosine, None
    return cosine, cosine / math.sqrt(reliabilities[0] * reliabilities[1])


def _flatten(tree) -> np.ndarray:
    """All numbers of a tree as one float64 vector."""
    leaves = jax.tree.leaves(tree)
    return np.concatenate([leaf.ravel().astype(np.float64) for leaf in leaves])


def _cosine(u: np.ndarray, v: np.ndarray) -> float:
    return float(u @ v / np.sqrt((u @ u) * (v @ v)))


def _reliability(u: np.ndarray, v: np.ndarray) -> float:
    """Reliability of the mean of two halves."""
    cosine = max(_cosine(u, v), 0.0)
    return 2 * cosine / (1 + cosine)


def _loss_after(bench: Bench, domain: str, few: int) -> float:
    """The held-out loss after a few steps on one domain alone.

    Raises `loop.NonFiniteError`.
    """
    hyper = dataclasses.replace(bench.run.train_config, steps=few)
    train_step = steps.jit_train_step(hyper, bench.base.compute)
    state = bench.initial_state(hyper)
    key = jax.random.fold_in(jax.random.key(bench.run.seed), 1)
    for i in range(few):
        state, _ = train_step(
            state, bench.base.model, *bench.batch(domain, i), key, None
        )
    if int(state.failed) >= 0:
        raise loop.NonFiniteError(
            f"step {int(state.failed) + 1} on {domain} alone: loss or gradient is not "
            "finite, expected numbers"
        )
    return bench.loss(state.adapter)
