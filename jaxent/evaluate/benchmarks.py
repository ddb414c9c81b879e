"""HumanEval+ and MBPP+: their problems and prompts, as evalplus 0.3.1 has them.

The module never imports jax, and evalplus only inside functions: that takes seconds.
"""

import dataclasses
import gzip
import hashlib
import importlib
import io
import os
import pathlib
import re
from collections.abc import Mapping

from jaxent import json_files

GENERAL_STOPS = (
    "<|endoftext|>",
    "<|endofmask|>",
    "</s>",
    "\nif __name__",
    "\ndef main(",
    "\nprint(",
)
"""evalplus's six general stop strings."""

EMBEDDED = pathlib.Path(__file__).parents[1] / "data" / "embedded" / "problems.jsonl"
"""Eight small problems of this project in the same form, to try without a download."""


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """A set of programming problems that evalplus scores.

    Attributes:
        name: What evalplus calls it, and --benchmark.
        title: Its name for people; with a + it names evalplus's further tests too.
        prefix: What the ids of its problems begin with.
        tasks: Number of its problems.
        file: Name of evalplus's file of problems.
        override: The environment variable that names such a file.
        versions: md5 of a released file to its version.
        stops: Stop strings of direct completion, evalplus's general ones included.
        ready: Module and function of evalplus that give the file, downloaded first.
    """

    name: str
    title: str
    prefix: str
    tasks: int
    file: str
    override: str
    versions: Mapping[str, str]
    stops: tuple[str, ...]
    ready: tuple[str, str]


HUMANEVAL = Benchmark(
    name="humaneval",
    title="HumanEval",
    prefix="HumanEval/",
    tasks=164,
    file="HumanEvalPlus.jsonl",
    override="HUMANEVAL_OVERRIDE_PATH",
    versions={"fe585eb4df8c88d844eeb463ea4d0302": "v0.1.10"},
    stops=(
        *GENERAL_STOPS,
        "\ndef ",
        "\nclass ",
        "\nimport ",
        "\nfrom ",
        "\nassert ",
    ),
    ready=("evalplus.data.humaneval", "_ready_human_eval_plus_path"),
)
MBPP = Benchmark(
    name="mbpp",
    title="MBPP",
    prefix="Mbpp/",
    tasks=378,
    file="MbppPlus.jsonl",
    override="MBPP_OVERRIDE_PATH",
    versions={"ee43ecabebf20deef4bb776a405ac5b1": "v0.2.0"},
    stops=(*GENERAL_STOPS, '\n"""', "\nassert"),
    ready=("evalplus.data.mbpp", "_ready_mbpp_plus_path"),
)
BENCHMARKS = {benchmark.name: benchmark for benchmark in (HUMANEVAL, MBPP)}
"""By evalplus's name."""

_KEYS = (
    "task_id",
    "prompt",
    "entry_point",
    "canonical_solution",
    "contract",
    "base_input",
    "plus_input",
    "atol",
)


@dataclasses.dataclass(frozen=True)
class Problem:
    """One task.

    Attributes:
        task_id: Its name, such as "HumanEval/0".
        prompt: What the model reads.
        entry_point: The name of the function to write.
        canonical: The reference completion of the prompt.
    """

    task_id: str
    prompt: str
    entry_point: str
    canonical: str = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True)
class Problems:
    """Tasks in order, and the JSONL text that they came from.

    Attributes:
        items: The tasks.
        content: Exactly the bytes that are scored.
        version: Of the data set, or "unknown".
        benchmark: How they are scored.
    """

    items: tuple[Problem, ...]
    content: bytes = dataclasses.field(repr=False)
    version: str
    benchmark: Benchmark = HUMANEVAL

    @property
    def md5(self) -> str:
        """evalplus's name for a data set, and for its file of expected outputs."""
        return hashlib.md5(self.content).hexdigest()

    @property
    def subset(self) -> str:
        """What every output has to say; empty for the whole benchmark."""
        benchmark = self.benchmark
        others = sum(not p.task_id.startswith(benchmark.prefix) for p in self.items)
        if others:
            return f"subset: {others} problems that are not {benchmark.title}'s"
        if len(self.items) == benchmark.tasks:
            return ""
        return f"subset: {len(self.items)} of {benchmark.tasks} problems"


def load_problems(
    file: str | os.PathLike | None = None,
    limit: int | None = None,
    benchmark: Benchmark = HUMANEVAL,
) -> Problems:
    """The problems of a file in evalplus's format.

    Args:
        file: JSONL, or JSONL.gz. Without one: the benchmark's environment variable
            (HUMANEVAL_OVERRIDE_PATH, MBPP_OVERRIDE_PATH) if that is set, else what
            evalplus downloads to its cache.
        limit: How many problems to keep, the first ones; None keeps all.
        benchmark: Whose problems they are, or as whose they are scored.

    Returns:
        The problems.

    Raises:
        FileNotFoundError: If there is no such file, or it cannot be downloaded.
        ValueError: If a line is no problem, a problem comes twice, or there are fewer
            than `limit`.

    Example:
        >>> problems = load_problems(EMBEDDED, limit=2)
        >>> [problem.entry_point for problem in problems.items]
        ['count_spaces', 'hours_and_minutes']
        >>> problems.subset
        "subset: 2 problems that are not HumanEval's"
    """
    override = os.environ.get(benchmark.override)
    path = pathlib.Path(file or override or _downloaded_file(benchmark))
    name = f"{benchmark.title}+ {path}"
    if not path.is_file():
        raise FileNotFoundError(f"{name}: no such file, expected {benchmark.file}")
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    version = benchmark.versions.get(hashlib.md5(content).hexdigest(), "unknown")
    lines = enumerate(io.BytesIO(content), 1)
    numbered = [(number, line) for number, line in lines if line.strip()]
    if not numbered:
        raise ValueError(f"{name}: no problem, expected {benchmark.file}")
    if limit is not None and not 1 <= limit <= len(numbered):
        raise ValueError(f"{name}: limit {limit}, expected 1 to {len(numbered)}")
    if limit is not None and limit < len(numbered):
        numbered = numbered[:limit]
        content = b"".join(line for _, line in numbered)
    items = tuple(
        _parse_problem(line, name, number, benchmark) for number, line in numbered
    )
    _check_distinct(items, name)
    return Problems(items, content, version, benchmark)


def _downloaded_file(benchmark: Benchmark) -> str:
    """The file in evalplus's cache, downloaded there if it is not yet."""
    module, function = benchmark.ready
    try:
        return getattr(importlib.import_module(module), function)()
    except Exception as error:  # whatever the download raises: no file came
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise FileNotFoundError(
            f"{benchmark.title}+: evalplus cannot download it ({reason}); expected a "
            f"connection to github.com, or --problems={benchmark.file}"
        ) from error


def _parse_problem(
    line: bytes, name: str, number: int, benchmark: Benchmark
) -> Problem:
    """The problem of one line; ValueError if it is none, or lacks something."""
    raw = json_files.parse_json(line, name, finite=False, line=number)
    where = f"{name}, line {number}"
    missing = sorted(set(_KEYS) - set(raw))
    if missing:
        raise ValueError(
            f"{where}: {raw.get('task_id')} lacks {missing}, expected EvalPlus's file"
        )
    strings = ("task_id", "prompt", "entry_point", "canonical_solution")
    wrong = [key for key in strings if not isinstance(raw[key], str)]
    if wrong:
        raise ValueError(
            f"{where}: {wrong[0]} is {raw[wrong[0]]!r:.40}, expected a string"
        )
    if benchmark is MBPP and not re.fullmatch(r".*/\d+", raw["task_id"]):
        raise ValueError(
            f"{where}: task_id {raw['task_id']!r}, expected a name and a number as in "
            "'Mbpp/2': evalplus reads the types of MBPP's inputs from it"
        )
    return Problem(
        raw["task_id"],
        raw["prompt"].strip() + "\n",
        raw["entry_point"],
        raw["canonical_solution"],
    )


def _check_distinct(items: tuple[Problem, ...], name: str) -> None:
    """ValueError where two problems have one id: evalplus would keep the last."""
    seen = set()
    for problem in items:
        if problem.task_id in seen:
            raise ValueError(
                f"{name}: {problem.task_id} comes twice, expected every task_id once"
            )
        seen.add(problem.task_id)
