"""HumanEval+: problems, prompts, stop strings and samples, as evalplus 0.3.1 has them.

Two files hold the samples:

    samples.raw.jsonl   {"task_id", "solution"}: the prompt and the completion up to a
                        stop string; appended while generation goes on
    samples.jsonl       the same through evalplus's sanitize, in the order of the
                        problems; this file is scored

The module never imports jax, and evalplus only inside functions: that takes seconds.
"""

import collections
import dataclasses
import gzip
import hashlib
import io
import json
import os
import pathlib

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
STOPS = (*GENERAL_STOPS, "\ndef ", "\nclass ", "\nimport ", "\nfrom ", "\nassert ")
"""These and evalplus's five for HumanEval (direct completion)."""

TASKS = 164
EMBEDDED = pathlib.Path(__file__).parents[1] / "data" / "embedded" / "problems.jsonl"
"""Eight small problems of this project in the same form, to try without a download."""

RAW = "samples.raw.jsonl"
SANITIZED = "samples.jsonl"
IDENTITY = "samples.identity.json"
_VERSIONS = {"fe585eb4df8c88d844eeb463ea4d0302": "v0.1.10"}
_LONGEST = 10_000  # characters, where evalplus cuts a completion without a stop string
_KEYS = ("task_id", "prompt", "entry_point", "canonical_solution", "plus_input")


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
    """

    items: tuple[Problem, ...]
    content: bytes = dataclasses.field(repr=False)
    version: str

    @property
    def md5(self) -> str:
        """evalplus's name for a data set, and for its file of expected outputs."""
        return hashlib.md5(self.content).hexdigest()

    @property
    def subset(self) -> str:
        """What every output has to say; empty for all of HumanEval+."""
        others = sum(not p.task_id.startswith("HumanEval/") for p in self.items)
        if others:
            return f"subset: {others} problems that are not HumanEval's"
        if len(self.items) == TASKS:
            return ""
        return f"subset: {len(self.items)} of {TASKS} problems"


@dataclasses.dataclass(frozen=True)
class Sample:
    """One solution of one task, prompt included."""

    task_id: str
    solution: str


def load_problems(
    file: str | os.PathLike | None = None, limit: int | None = None
) -> Problems:
    """The problems of a HumanEvalPlus file.

    Args:
        file: JSONL, or JSONL.gz. Without one: HUMANEVAL_OVERRIDE_PATH if that is set,
            else what evalplus downloads to its cache.
        limit: How many problems to keep, the first ones; None keeps all.

    Returns:
        The problems.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a problem lacks something, or there are fewer than `limit`.

    Example:
        >>> problems = load_problems(EMBEDDED, limit=2)
        >>> [problem.entry_point for problem in problems.items]
        ['count_spaces', 'hours_and_minutes']
        >>> problems.subset
        "subset: 2 problems that are not HumanEval's"
    """
    override = os.environ.get("HUMANEVAL_OVERRIDE_PATH")
    path = pathlib.Path(file or override or _downloaded_file())
    if not path.is_file():
        raise FileNotFoundError(
            f"HumanEval+ {path}: no such file, expected HumanEvalPlus.jsonl"
        )
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    version = _VERSIONS.get(hashlib.md5(content).hexdigest(), "unknown")
    lines = [
        (number, line)
        for number, line in enumerate(io.BytesIO(content), 1)
        if line.strip()
    ]
    if limit is not None and not 1 <= limit <= len(lines):
        raise ValueError(
            f"HumanEval+ {path}: limit {limit}, expected 1 to {len(lines)}"
        )
    if limit is not None and limit < len(lines):
        lines = lines[:limit]
        content = b"".join(line for _, line in lines)
    items = tuple(_parse_problem(line, path, number) for number, line in lines)
    return Problems(items, content, version)


def _downloaded_file() -> str:
    """The file in evalplus's cache, downloaded there if it is not yet."""
    import evalplus.data.humaneval as data

    return data._ready_human_eval_plus_path()


def _parse_problem(line: bytes, path: pathlib.Path, number: int) -> Problem:
    """The problem of one line; ValueError if a key is missing."""
    raw = json_files.parse_json(line, f"HumanEval+ {path}", finite=False, line=number)
    missing = sorted(set(_KEYS) - set(raw))
    if missing:
        raise ValueError(
            f"HumanEval+ {path}: {raw.get('task_id')} lacks {missing}, expected "
            "EvalPlus's file"
        )
    return Problem(
        raw["task_id"],
        raw["prompt"].strip() + "\n",
        raw["entry_point"],
        raw["canonical_solution"],
    )


def cut_at_stops(text: str, stops: tuple[str, ...] = STOPS) -> str:
    r"""A completion up to the first stop string, with tabs as four spaces.

    Args:
        text: The completion.
        stops: The stop strings.

    Returns:
        The text before the first of them, 10,000 characters at most.

    Example:
        >>> cut_at_stops("    return 1\n\ndef main():")
        '    return 1\n'
    """
    ends = [text.index(stop) for stop in stops if stop in text]
    return text[: min([*ends, _LONGEST])].replace("\t", "    ")


def finish_sample(problem: Problem, completion: str) -> Sample:
    """The raw sample: the prompt and the completion up to a stop string.

    Args:
        problem: The task.
        completion: What the model wrote after the prompt.

    Returns:
        The sample, not yet sanitized.
    """
    return Sample(problem.task_id, problem.prompt + cut_at_stops(completion))


def sanitize(problem: Problem, sample: Sample) -> Sample:
    """evalplus's sanitize of one sample.

    It keeps the longest run of lines that parses, and of that the imports and what the
    entry point needs. There is text on which the parsers themselves fail (a sum of
    1200 terms, a null byte in older Pythons), where evalplus 0.3.1 ends the whole run.

    Args:
        problem: The task.
        sample: A raw sample of it.

    Returns:
        The sanitized sample; the raw one where the parsers fail.
    """
    import evalplus.sanitize

    try:
        solution = evalplus.sanitize.sanitize(sample.solution, problem.entry_point)
    except (ValueError, RecursionError):
        return sample
    return Sample(sample.task_id, solution)


def resume(folder: str | os.PathLike, identity: dict) -> list[Sample]:
    """The raw samples that an earlier, killed run left in a folder.

    A last half line is dropped from the file. The first call writes `identity`; a later
    one compares it, so that no file mixes two models.

    Args:
        folder: The folder of samples.
        identity: What a sample depends on: model, adapter, data, precision, length.

    Returns:
        The samples of whole lines, in the order of the file.

    Raises:
        ValueError: If the samples were made with another identity, or without one.
    """
    folder = pathlib.Path(folder)
    identity = json_files.parse_json(json.dumps(identity), IDENTITY, finite=False)
    if (folder / IDENTITY).is_file():
        earlier = json_files.read_json(folder / IDENTITY, finite=False)
        for key in sorted(earlier.keys() | identity.keys()):
            if earlier.get(key) != identity.get(key):
                raise ValueError(
                    f"{folder / RAW}: made with {key} {earlier.get(key)!r}, expected "
                    f"{identity.get(key)!r}"
                )
    elif (folder / RAW).is_file():
        raise ValueError(
            f"{folder / RAW}: samples without {IDENTITY}, expected both or neither"
        )
    else:
        write(folder / IDENTITY, json.dumps(identity, indent=1) + "\n")
    return _read_whole_lines(folder / RAW)


def _read_whole_lines(path: pathlib.Path) -> list[Sample]:
    """Reads a file of samples after cutting off what follows its last line break."""
    if not path.is_file():
        return []
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(path, whole)
    return read_samples(path)


def read_samples(path: str | os.PathLike) -> list[Sample]:
    """The samples of a JSONL file.

    Args:
        path: The file.

    Returns:
        Its samples, in order.

    Raises:
        ValueError: If a line is no sample; it names the line.
    """
    samples = []
    for number, line in json_files.read_lines(path):
        raw = json_files.parse_json(line, str(path), line=number)
        fields = raw.get("task_id"), raw.get("solution")
        if not all(isinstance(field, str) for field in fields):
            raise ValueError(
                f"{path}, line {number}: {line[:60]!r}, expected a task_id and a "
                "solution"
            )
        samples.append(Sample(*fields))
    return samples


def missing_samples(
    problems: Problems, samples: list[Sample], n: int = 1
) -> list[tuple[Problem, int]]:
    """What is left to generate.

    Args:
        problems: All problems.
        samples: The samples there are.
        n: Samples wanted of each problem.

    Returns:
        The problems that lack samples, and how many each lacks.

    Example:
        >>> problems = load_problems(EMBEDDED, limit=2)
        >>> done = [Sample(problems.items[0].task_id, "")]
        >>> [(p.entry_point, n) for p, n in missing_samples(problems, done)]
        [('hours_and_minutes', 1)]
    """
    have = collections.Counter(sample.task_id for sample in samples)
    return [(p, n - have[p.task_id]) for p in problems.items if have[p.task_id] < n]


def append_samples(
    folder: str | os.PathLike, problems: Problems, samples: list[Sample]
) -> None:
    """Adds raw samples to a folder's file and waits until they are on disk.

    Args:
        folder: The folder of samples; it is made if it is not there.
        problems: The problems; a subset is marked in every line.
        samples: The samples to add.
    """
    path = pathlib.Path(folder) / RAW
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8", newline="\n") as file:
        file.writelines(_format_sample(problems, sample) for sample in samples)
        file.flush()
        os.fsync(file.fileno())


def write_sanitized(folder: str | os.PathLike, problems: Problems) -> list[Sample]:
    """Makes samples.jsonl of samples.raw.jsonl.

    Args:
        folder: The folder of samples.
        problems: The problems, whose order the samples get.

    Returns:
        The sanitized samples, as written.
    """
    folder = pathlib.Path(folder)
    raw = collections.defaultdict(list)
    for sample in read_samples(folder / RAW):
        raw[sample.task_id].append(sample)
    samples = [sanitize(p, sample) for p in problems.items for sample in raw[p.task_id]]
    lines = [_format_sample(problems, sample) for sample in samples]
    write(folder / SANITIZED, "".join(lines))
    return samples


def _format_sample(problems: Problems, sample: Sample) -> str:
    """The line of a sample, with a mark if the problems are a subset."""
    mark = {"subset": problems.subset} if problems.subset else {}
    return json.dumps(dataclasses.asdict(sample) | mark) + "\n"


def write(path: pathlib.Path, text: str) -> None:
    """Writes a text file under a temporary name and renames it.

    Args:
        path: The file; its folder is made if it is not there.
        text: What to write.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text, encoding="utf-8", newline="\n")
    os.replace(partial, path)
