"""Which examples a step trains on: a pure function of (seed, step), no iterator."""

import dataclasses
import functools

import numpy as np

BLOCK = 20  # slots whose domains follow the proportions exactly
FINE_BLOCK = 100  # the same where a share is no multiple of 5 percent
DOMAINS = ("code", "math", "natural", "creative")
CONDITIONS = ("B0", "B1", "B2", "B3", "B4", "B5", "B6")


@dataclasses.dataclass(frozen=True)
class Phase:
    """One phase of training.

    Attributes:
        start: The optimizer step it starts at.
        percent: (domain, percentage) pairs: whole numbers, 100 in all.
    """

    start: int
    percent: tuple[tuple[str, int], ...]

    def __post_init__(self):
        names = [domain for domain, _ in self.percent]
        shares = [percent for _, percent in self.percent]
        whole = all(isinstance(share, int) and share > 0 for share in shares)
        if not whole or sum(shares) != 100 or len(set(names)) != len(names):
            raise ValueError(
                f"mixture {','.join(f'{d}:{p}' for d, p in self.percent)}: expected"
                " different domains in whole percentages above 0 that add up to 100"
            )

    @property
    def block(self) -> int:
        """The slots of a block."""
        coarse = all(percent * BLOCK % 100 == 0 for _, percent in self.percent)
        return BLOCK if coarse else FINE_BLOCK


@dataclasses.dataclass(frozen=True)
class Mixture:
    """Phases in order; the first starts at step 0."""

    phases: tuple[Phase, ...]

    @property
    def domains(self) -> tuple[str, ...]:
        """Domains in use: those of `DOMAINS` in its order, then others in theirs."""
        used = [domain for phase in self.phases for domain, _ in phase.percent]
        own = [domain for domain in dict.fromkeys(used) if domain not in DOMAINS]
        return (*(domain for domain in DOMAINS if domain in used), *own)


def _constant(**percent: int) -> Mixture:
    """The same percentages throughout."""
    return Mixture((Phase(0, tuple(percent.items())),))


def parse_mixture(text: str) -> Mixture:
    """The mixture of a --mixture flag.

    Args:
        text: "domain:percentage" pairs with commas between them.

    Returns:
        The mixture, the same at every step.

    Raises:
        ValueError: It has another form, or the percentages are not 100 in all.

    Example:
        >>> parse_mixture("code:70,law:30").domains
        ('code', 'law')
    """
    pairs = [part.strip().rpartition(":") for part in text.split(",")]
    if not all(name and share.strip().isdecimal() for name, _, share in pairs):
        raise ValueError(
            f"--mixture {text!r}: expected DOMAIN:PERCENTAGE,... in whole numbers, such"
            " as code:70,law:30"
        )
    return Mixture((Phase(0, tuple((n, int(share)) for n, _, share in pairs)),))


def condition_mixture(name: str, curriculum_steps: int = 1000) -> Mixture | None:
    """The training data of a condition of the paper's Table 1.

    Args:
        name: "B0" to "B6".
        curriculum_steps: Optimizer steps of B5's first phase.

    Returns:
        The mixture. None for B0, which is not trained; B4 has B2's data; B5 is math,
        then code.

    Raises:
        ValueError: There is no such condition, or curriculum_steps is below 1.

    Example:
        >>> condition_mixture("B3").phases
        (Phase(start=0, percent=(('code', 70), ('natural', 30))),)
    """
    if name == "B5":
        if curriculum_steps < 1:
            raise ValueError(
                f"curriculum_steps {curriculum_steps}: expected at least 1"
            )
        math, code = (("math", 100),), (("code", 100),)
        return Mixture((Phase(0, math), Phase(curriculum_steps, code)))
    mixtures = {
        "B0": None,
        "B1": _constant(code=100),
        "B2": _constant(code=70, math=30),
        "B3": _constant(code=70, natural=30),
        "B4": _constant(code=70, math=30),
        "B6": _constant(code=70, creative=30),
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
    """The examples of one step; every machine draws the same.

    The domains of slots are dealt in blocks of 20 with exact quotas, in an order drawn
    from (seed, phase, block). A domain's n-th draw goes to its sources in turn. A
    source's m-th draw is entry m of its permutation for epoch m // size, drawn from
    (seed, source, epoch).

    Args:
        mixture: What share each domain has.
        sizes: {domain: {source: number of examples}}.
        seed: The run's seed.
        step: The optimizer step, from 0.
        examples: Examples a step.

    Returns:
        (source, index) of each example.

    Example:
        >>> mixture = condition_mixture("B1")
        >>> draw_batch(mixture, {"code": {"a": 3}}, seed=0, step=0, examples=3)
        [('a', 1), ('a', 0), ('a', 2)]
    """
    drawn = []
    for domain, draw in draw_slots(mixture, seed, step, examples):
        turn, which = divmod(draw, len(sizes[domain]))
        source, size = list(sizes[domain].items())[which]
        epoch, index = divmod(turn, size)
        drawn.append((source, int(permutation(seed, source, epoch, size)[index])))
    return drawn


def draw_slots(
    mixture: Mixture, seed: int, step: int, examples: int = 16
) -> list[tuple[str, int]]:
    """Which domains' turn it is in one step, and for which time.

    Args:
        mixture: What share each domain has.
        seed: The run's seed.
        step: The optimizer step, from 0.
        examples: Examples a step.

    Returns:
        (domain, how often the domain was drawn before in this phase) of each example.

    Example:
        >>> draw_slots(parse_mixture("a:50,b:50"), seed=0, step=1, examples=2)
        [('b', 2), ('b', 3)]
    """
    started = [i for i, phase in enumerate(mixture.phases) if phase.start <= step]
    number = max(started)
    phase = mixture.phases[number]
    first = (step - phase.start) * examples
    slots = []
    for slot in range(first, first + examples):
        block, within = divmod(slot, phase.block)
        order = _order(phase.percent, phase.block, seed, number, block)
        domain = order[within]
        draw = block * order.count(domain) + order[:within].count(domain)
        slots.append((domain, draw))
    return slots


def generator(*key: int) -> np.random.Generator:
    """Random numbers that a key decides, on every machine alike."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))


@functools.lru_cache(maxsize=64)
def _order(
    percent: tuple[tuple[str, int], ...], size: int, seed: int, number: int, block: int
) -> list[str]:
    """The domains of one block's slots."""
    slots = [domain for domain, share in percent for _ in range(share * size // 100)]
    return [slots[i] for i in generator(seed, 0, number, block).permutation(size)]


@functools.lru_cache(maxsize=64)
def permutation(seed: int, source: str, epoch: int, size: int) -> np.ndarray:
    """The order of a source's examples in one epoch, [size]."""
    return generator(seed, 1, *source.encode(), epoch).permutation(size)
