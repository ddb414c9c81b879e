"""Plans as text: tables for the terminal and rows of docs/capacity.md."""

from jaxent.capacity import chips, hlo_collectives, memory, roofline
from jaxent.runs import console

_KINDS = {
    "all-gather": "gather",
    "all-reduce": "reduce",
    "reduce-scatter": "scatter",
    "all-to-all": "all-to-all",
    "collective-permute": "permute",
}
_HELD = ("weights", "adapter", "optimizer", "batch", "cache", "temporaries")
_UNITS = ("step", "batch of probes", "token")  # of the programs' traffic, in order
ROW_HEADER = [
    "model",
    "mesh",
    "weights",
    "adapter, optimizer",
    "temporaries",
    "training, GiB",
    "by formula",
    "decoding, GiB",
    "GB received a step",
    "step, s",
    "run, hours",
    "fits",
    "memory",
]
"""The columns of `format_row`."""


def format_gib(number: float | None) -> str:
    """Bytes as GiB, "-" for None.

    Example:
        >>> format_gib(3 * 2**29)
        '1.50'
    """
    return "-" if number is None else f"{number / 2**30:.2f}"


def format_plan(plan: roofline.Plan, remark: str = "") -> str:
    """Memory, traffic and time of a plan.

    Args:
        plan: what is shown.
        remark: a paragraph before the notes.
    """
    chip = plan.job.topology.chip
    title = f"{plan.job.run.model} on {plan.job.topology}, mesh {plan.job.mesh}"
    notes = (
        f"FLOPs at {roofline.SHARE:g} of {chip.peak / 1e12:g} TFLOP/s, memory at "
        f"{chip.bandwidth / 1e9:g} GB/s, links at half of {chip.link / 1e9:g} GB/s; in "
        "all: the larger of the first two, and the third. Loops over layers and chunks "
        "count as often as the compiled text says, the one over micro-batches (tokens, "
        "in decoding) as often as it runs. Nothing ran on such a chip."
    )
    parts = [title, format_memory(plan), format_traffic(plan), format_times(plan)]
    return "\n\n".join(filter(None, [*parts, remark, notes]))


def format_memory(plan: roofline.Plan) -> str:
    """What a chip holds, a row a program."""
    rows = []
    for cost in plan.costs:
        held = [format_gib(cost.parts.get(name)) for name in _HELD]
        verdict = "yes" if memory.fits_memory(cost, plan.job) else "no"
        rows.append([cost.name, *held, format_gib(cost.total), verdict, cost.how])
    room = format_gib(plan.job.topology.chip.memory)
    header = ["GiB a chip", *_HELD, "total", f"fits {room}", "how"]
    refusals = [f"\n{cost.name}: {cost.refused}" for cost in plan.costs if cost.refused]
    return console.format_table(header, rows) + "".join(refusals)


def format_traffic(plan: roofline.Plan) -> str:
    """What a chip receives, a row a program."""
    rows = []
    for cost, unit in zip(plan.costs, _UNITS):
        received = [f"{cost.received[k] / 1e9:.3f}" for k in hlo_collectives.KINDS]
        rows.append([f"{cost.name}, a {unit}", *received])
    return console.format_table(["GB a chip receives", *_KINDS.values()], rows)


def format_times(plan: roofline.Plan) -> str:
    """How long each program takes, and the whole study."""
    job = plan.job
    step = f"step of {job.micro_batches} x {job.at_a_time} rows, {job.seeds} seeds"
    token_flops = roofline.token_flops(job, plan.decoded)
    parts = (
        (step, roofline.step_flops(job), plan.step),
        ("measurement, a seed", roofline.measure_flops(job), plan.measurement),
        (f"token of {plan.decoded} rows", token_flops, plan.token),
    )
    rows = []
    for name, flops, time in parts:
        seconds = (time.compute, time.memory, time.link, time.seconds)
        rows.append([name, f"{flops / 1e12:.3g}", *(f"{1e3 * s:.3g}" for s in seconds)])
    header = ["ms", "TFLOP", "computing", "memory", "links", "in all"]
    hours = ", ".join(f"{name} {value:.2f}" for name, value in plan.hours.items())
    total = f"{job.seeds} seeds, hours: {hours}; all {sum(plan.hours.values()):.2f}"
    return f"{console.format_table(header, rows)}\n\n{total}"


def format_search(plans: list[roofline.Plan]) -> str:
    """The meshes that `roofline.search_meshes` tried, a row each."""
    rows = [
        [
            plan.job.mesh,
            format_gib(max(cost.total for cost in plan.costs)),
            "yes" if plan.fits else "no",
            f"{plan.step.seconds:.2f}",
            f"{sum(plan.hours.values()):.1f}",
        ]
        for plan in plans
    ]
    header = ["mesh (by formula)", "GiB a chip at most", "fits", "step, s"]
    return console.format_table([*header, "study, hours"], rows)


def format_row(plan: roofline.Plan, by_formula: roofline.Plan) -> list[str]:
    """A plan's row under `ROW_HEADER`."""
    train, _, decode = plan.costs
    state = train.parts["adapter"] + train.parts["optimizer"]
    received = sum(train.received.values()) / 1e9
    return [
        plan.job.run.model.split("/")[-1],
        plan.job.mesh.replace(",", ", "),
        format_gib(train.parts["weights"]),
        format_gib(state),
        format_gib(train.parts.get("temporaries")),
        format_gib(train.total),
        format_gib(by_formula.costs[0].total),
        format_gib(decode.total),
        f"{received:.1f}",
        f"{plan.step.seconds:.2f}",
        f"{sum(plan.hours.values()):.1f}",
        "yes" if plan.fits else "**no**",
        "formula" if train.how == "analysed" else "compiled",
    ]


def format_topology(topology: chips.Topology) -> str:
    """A topology's chips, as a Markdown section begins."""
    chip = topology.chip
    return (
        f"## {topology}\n\n{topology.size} x {chip.name}: "
        f"{format_gib(chip.memory)} GiB, "
        f"{chip.peak / 1e12:g} TFLOP/s, memory {chip.bandwidth / 1e9:g} GB/s, links "
        f"{chip.link / 1e9:g} GB/s"
    )
