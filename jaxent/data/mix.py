"""Which examples a step trains on: a pure function of (seed, step), with no iterator to save."""

import dataclasses
import functools

import numpy as np

BLOCK = 20  # slots whose domains follow the proportions exactly
DOMAINS = ("code", "math", "natural", "creative")


@dataclasses.dataclass(frozen=True)
class Phase:
    """From optimizer step `start` on, domains in these percentages (multiples of 5, 100 in all)."""

    start: int
    percent: tuple[tuple[str, int], ...]

    def __post_init__(self):
        wrong = [
            (d, p)
            for d, p in self.percent
            if d not in DOMAINS or p <= 0 or p * BLOCK % 100
        ]
        if wrong or sum(p for _, p in self.percent) != 100:
            raise ValueError(
                f"mixture {dict(self.percent)}: expected percentages of {', '.join(DOMAINS)} in multiples of "
                f"{100 // BLOCK} that add up to 100"
            )


@dataclasses.dataclass(frozen=True)
class Mixture:
    """Phases in order; the first starts at step 0."""

    phases: tuple[Phase, ...]

    @property
    def domains(self) -> tuple[str, ...]:
        """Domains in use, in the order of `DOMAINS`."""
        used = {d for phase in self.phases for d, _ in phase.percent}
        return tuple(d for d in DOMAINS if d in used)


CONDITIONS = ("B0", "B1", "B2", "B3", "B4", "B5", "B6")


def condition_mixture(name: str, curriculum_steps: int = 1000) -> Mixture | None:
    """Table 1's training data by condition: None for B0; B4 is B2's data; B5 is math, then code."""
    one = lambda *percent: Mixture((Phase(0, percent),))
    if name == "B5":
        if curriculum_steps < 1:
            raise ValueError(
                f"curriculum_steps {curriculum_steps}: expected at least 1"
            )
        return Mixture(
            (Phase(0, (("math", 100),)), Phase(curriculum_steps, (("code", 100),)))
        )
    mixtures = {
        "B0": None,
        "B1": one(("code", 100)),
        "B2": one(("code", 70), ("math", 30)),
        "B3": one(("code", 70), ("natural", 30)),
        "B4": one(("code", 70), ("math", 30)),
        "B6": one(("code", 70), ("creative", 30)),
    }
    if name not in mixtures:
        raise ValueError(f"condition {name!r}: expected one of {', '.join(CONDITIONS)}")
    return mixtures[name]


def draw_batch(
    mixture: Mixture,
    sizes: dict[str, dict[str, int]],
    seed: int,
    step: int,
    examples: int = 16,
) -> list[tuple[str, int]]:
    """(source, index) of each of a step's examples.

    sizes: {domain: {source: number of examples}}. Slots are dealt in blocks of 20 with exact quotas,
    in an order drawn from (seed, phase, block). A domain's n-th draw goes to its sources in turn;
    a source's m-th draw is entry m of its permutation for epoch m // size, drawn from
    (seed, source, epoch). Every machine draws the same.
    """
    number = max(i for i, phase in enumerate(mixture.phases) if phase.start <= step)
    phase = mixture.phases[number]
    first = (step - phase.start) * examples
    return [
        _example(phase, number, sizes, seed, slot)
        for slot in range(first, first + examples)
    ]


def _example(phase, number, sizes, seed, slot) -> tuple[str, int]:
    block, within = divmod(slot, BLOCK)
    order = _order(phase.percent, seed, number, block)
    domain = order[within]
    quota = order.count(domain)
    turn, which = divmod(
        block * quota + order[:within].count(domain), len(sizes[domain])
    )
    source, size = list(sizes[domain].items())[which]
    epoch, index = divmod(turn, size)
    return source, int(_permutation(seed, source, epoch, size)[index])


def _generator(*key: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))


@functools.lru_cache(maxsize=64)
def _order(percent, seed, number, block) -> list[str]:
    slots = [d for d, p in percent for _ in range(p * BLOCK // 100)]
    return [slots[i] for i in _generator(seed, 0, number, block).permutation(BLOCK)]


@functools.lru_cache(maxsize=64)
def _permutation(seed, source, epoch, size) -> np.ndarray:
    return _generator(seed, 1, *source.encode(), epoch).permutation(size)
