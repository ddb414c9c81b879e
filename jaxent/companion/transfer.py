"""Two axes of a companion domain, from the base model itself: interference with a target domain, and transfer to it.

Interference is crosstalk (section 3.6) on activations of the domains' own training texts, so that every domain has one.
Transfer is cheap: the alignment of the domains' gradients at the initial adapter, and the fall of the target's held-out
loss after a few steps on the companion alone. None of it trains on a mixture.
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Sequence

import jax
import numpy as np
import scipy  # scipy.stats is loaded at its first use: it takes seconds

from jaxent.arrays import lora
from jaxent.data import batches, corpora, embedded, mix
from jaxent.measure import capture, concepts, crosstalk
from jaxent.runs import base_model
from jaxent.runs import spec as specs
from jaxent.stats import proportions
from jaxent.train import loop, objective
from jaxent.train import step as steps

_TEXTS, _TEXT_TOKENS, _SETS = (
    96,
    64,
    4,
)  # texts a domain whose activations are compared, tokens of each, replicate sets


@dataclasses.dataclass(frozen=True)
class Axes:
    """A companion on both axes; lists hold one value a seed.

    ct: symmetric crosstalk with the target of the drop of recall margin on training texts. cosine: of the mean gradients at
    the initial adapter; alignment: cosine / sqrt(r_target r_companion), with r the reliability of each mean gradient (from its
    halves), None where one is not positive. drop: held-out loss of the target (nats a token) before a few steps on the
    companion alone, minus after them.
    """

    ct: float
    cosine: list[float]
    alignment: list[float | None]
    drop: list[float]


def alone(domain: str) -> mix.Mixture:
    """A mixture of one domain."""
    return mix.Mixture((mix.Phase(0, ((domain, 100),)),))


def held_out(
    domain: str, tokenizer, length: int, root: str | None, limit: int, number: int
) -> list[batches.Batch]:
    """About `number` texts of a domain that no run sees, as packed rows [1, length].

    Embedded: its held-out split; otherwise what follows the first `limit` examples of each source. ValueError if nothing does.
    """
    if root == corpora.EMBEDDED:
        every = embedded.split(domain)[1]
        found = every[:: max(1, len(every) // number)][:number]
    else:
        sources = corpora.select_sources([domain])
        share = -(-number // len(sources))
        found = [
            t
            for s in sources
            for t in corpora.read_texts(s, root, limit + share)[limit:]
        ]
    if not found:
        raise ValueError(
            f"{domain}: no source has more than --max_train_samples {limit} examples, expected some to hold out: lower it"
        )
    ids = [
        np.array([*i, tokenizer.eos_id][:length], np.int32)
        for i in tokenizer.encode(found)
    ]
    packed, rows = batches.pack([i for i in ids if len(i) > 1], length, len(ids))
    return [batches.Batch(*(field[i : i + 1] for field in packed)) for i in range(rows)]


@dataclasses.dataclass(frozen=True)
class Bench:
    """What all is measured on: base model, settings, training texts in rows of `length`, held-out rows of the target."""

    base: base_model.BaseModel
    run: specs.RunSpec
    corpus: corpora.Corpus
    length: int
    rows: Sequence[batches.Batch]

    def seeded(self, seed: int) -> "Bench":
        return dataclasses.replace(self, run=dataclasses.replace(self.run, seed=seed))

    def batch(self, domain: str, step: int):
        """One optimizer step's micro-batches of a domain alone, and its used rows."""
        batch, rows = self.corpus.batch(
            alone(domain),
            self.run.seed,
            step,
            self.length,
            self.run.batch_size,
            self.run.packing,
        )
        return steps.shard_batch(batch, self.run.micro_batch_size, None), rows

    def start(self, hyper: steps.TrainConfig) -> steps.TrainState:
        return loop.initial_state(
            self.base.model,
            loop.LoopConfig(hyper, self.run.lora_config, self.base.compute),
            self.run.seed,
        )


_nll = jax.jit(objective.batch_nll, static_argnames="compute")


def loss(
    base: base_model.BaseModel,
    rows: Sequence[batches.Batch],
    adapter: lora.Adapter | None = None,
) -> float:
    """Mean nats a token of held-out rows, without dropout."""
    total = sum(
        float(_nll(base.model, row, adapter, None, base.compute)) for row in rows
    )
    return total / sum(float(row.weights.sum()) for row in rows)


def measure(
    bench: Bench,
    target: str,
    companions: Sequence[str],
    seeds: Sequence[int],
    number: int,
    few: int,
) -> dict[str, Axes]:
    """Every companion on both axes, the target itself last. number: batches a gradient is of; few: companion steps."""
    ct = interference(bench.base, bench.corpus, target, companions)
    before = loss(bench.base, bench.rows)
    every, pairs, drops = (*companions, target), [], []
    for seed in seeds:
        seeded = bench.seeded(seed)
        halves = {domain: _halves(seeded, domain, number) for domain in every}
        pairs.append(
            {domain: aligned(halves[target], halves[domain]) for domain in every}
        )
        drops.append({domain: before - _after(seeded, domain, few) for domain in every})
    of = lambda domain, part: [pair[domain][part] for pair in pairs]
    return {
        d: Axes(ct.get(d, math.nan), of(d, 0), of(d, 1), [drop[d] for drop in drops])
        for d in every
    }


def interference(
    base: base_model.BaseModel,
    corpus: corpora.Corpus,
    target: str,
    companions: Sequence[str],
) -> dict[str, float]:
    """Crosstalk of the target with each companion on the starts of training texts, spread over each source."""
    rows, ids = [], []
    for domain in (target, *companions):
        sources = list(corpus.domains[domain].values())
        for i in range(_TEXTS):
            source = sources[i % len(sources)]
            ids.append(source[i * len(source) // _TEXTS][:_TEXT_TOKENS].tolist())
            rows.append({"domain": domain, "replicate": i % _SETS})
    x = capture.capture(base.model, ids, compute=base.compute)
    found = crosstalk.crosstalk(x, concepts.label_probes(rows, ("domain",)))
    return {c: found.pair(target, c, "continuous").ct for c in companions}


def _halves(bench: Bench, domain: str, number: int) -> list[dict]:
    """The sum of gradients over even and over odd batches, of the factors B alone: at the start they are 0, and A has none."""
    state = bench.start(bench.run.train_config)
    gradient = _gradient(bench.base.compute)
    halves = [None, None]
    for i in range(2 * -(-number // 2)):
        found = gradient(
            bench.base.model, state.adapter, *bench.batch(domain, i), None
        )[1]
        part = {path: np.asarray(factors.b) for path, factors in found.params.items()}
        halves[i % 2] = (
            part if halves[i % 2] is None else jax.tree.map(np.add, halves[i % 2], part)
        )
    return halves


@functools.lru_cache(maxsize=4)
def _gradient(compute):
    return jax.jit(functools.partial(steps.step_gradient, compute=compute))


def aligned(a: Sequence, b: Sequence) -> tuple[float, float | None]:
    """(cosine, alignment) of two mean gradients from their halves (trees).

    The reliability of a mean of two halves that agree with cosine c is 2 c / (1 + c) (Spearman and Brown). Halves share no
    examples; of the same domain the halves' own cosine is what is compared.
    """
    flat = lambda tree: np.concatenate(
        [leaf.ravel().astype(np.float64) for leaf in jax.tree.leaves(tree)]
    )
    (a0, a1), (b0, b1) = (tuple(map(flat, halves)) for halves in (a, b))
    cosine = lambda u, v: float(u @ v / np.sqrt((u @ u) * (v @ v)))
    reliability = lambda u, v: 2 * (c := max(cosine(u, v), 0.0)) / (1 + c)
    if a is b:
        return cosine(a0, a1), 1.0
    found, product = (
        cosine(a0 + a1, b0 + b1),
        (reliability(a0, a1), reliability(b0, b1)),
    )
    return found, found / math.sqrt(product[0] * product[1]) if min(
        product
    ) > 0 else None


def _after(bench: Bench, domain: str, few: int) -> float:
    """The held-out loss after a few steps on one domain alone; raises `loop.NonFiniteError`."""
    hyper = dataclasses.replace(bench.run.train_config, steps=few)
    train_step = steps.jit_train_step(hyper, bench.base.compute)
    state, key = (
        bench.start(hyper),
        jax.random.fold_in(jax.random.key(bench.run.seed), 1),
    )
    for i in range(few):
        state, _ = train_step(
            state, bench.base.model, *bench.batch(domain, i), key, None
        )
    if int(state.failed) >= 0:
        raise loop.NonFiniteError(
            f"step {int(state.failed) + 1} on {domain} alone: loss or gradient is not finite"
        )
    return loss(bench.base, bench.rows, state.adapter)


def scores(
    found: dict[str, Axes], companions: Sequence[str]
) -> dict[str, dict[str, float]]:
    """What each predictor says of each companion, higher is better: transfer and interference alone, and both.

    two axes: the mean z of alignment and drop, minus the z of crosstalk, over the companions; no weight is fitted. Means are
    over the seeds in which a value is defined; NaN where it is in none, and then for two axes of every companion.
    """
    mean = lambda values: (
        float(np.mean(kept))
        if (kept := [v for v in values if v is not None])
        else math.nan
    )
    measured = {
        "crosstalk": [-found[c].ct for c in companions],
        "alignment": [mean(found[c].alignment) for c in companions],
        "drop": [mean(found[c].drop) for c in companions],
    }
    z = {
        name: scipy.stats.zscore(values) if np.ptp(values) else np.zeros(len(values))
        for name, values in measured.items()
    }
    measured["two axes"] = ((z["alignment"] + z["drop"]) / 2 + z["crosstalk"]).tolist()
    return {name: dict(zip(companions, values)) for name, values in measured.items()}


def judged(predicted: dict[str, float], worse: dict[str, list[float]]) -> dict:
    """How a predictor (higher is better) orders what was measured: rises of held-out loss, one a seed, by companion.

    right of pairs: companions whose mean rise is ordered as predicted; clear: right of the pairs that all seeds order alike.
    rho: Spearman's between prediction and minus the mean rise, with its exact p (None below three companions). A companion
    whose prediction is NaN is left out.
    """
    right, clear, predicted = (
        [0, 0],
        [0, 0],
        {c: v for c, v in predicted.items() if not math.isnan(v)},
    )
    for a, b in itertools.combinations(predicted, 2):
        difference = np.subtract(worse[b], worse[a])
        hit = (predicted[a] - predicted[b]) * difference.mean() > 0
        right = [right[0] + hit, right[1] + 1]
        if len(difference) > 1 and (np.all(difference > 0) or np.all(difference < 0)):
            clear = [clear[0] + hit, clear[1] + 1]
    ranks = (
        proportions.spearman(
            list(predicted.values()), [-np.mean(worse[c]) for c in predicted]
        )
        if len(predicted) > 2
        else None
    )
    return {
        "right": int(right[0]),
        "pairs": right[1],
        "clear_right": int(clear[0]),
        "clear_pairs": clear[1],
        "rho": ranks and ranks.rho,
        "p": ranks and ranks.p,
    }
