"""Samples of a benchmark's problems, and the files that hold them.

There are two, as evalplus 0.3.1 writes them:

    samples.raw.jsonl   {"task_id", "solution"}: the prompt and the completion up to a
                        stop string (of a chat's answer the answer alone); appended
                        while generation goes on
    samples.jsonl       the same through evalplus's sanitize, in the order of the
                        problems; this file is scored

The module never imports jax, and evalplus only inside functions: that takes seconds.
"""

import collections
import dataclasses
import json
import os
import pathlib
from collections.abc import Sequence

from jaxent import json_files
from jaxent.evaluate import benchmarks

RAW = "samples.raw.jsonl"
SANITIZED = "samples.jsonl"
IDENTITY = "samples.identity.json"
_LONGEST = 10_000  # characters, where evalplus cuts a completion without a stop string


@dataclasses.dataclass(frozen=True)
class Sample:
    """One solution of one task, prompt included."""

    task_id: str
    solution: str


def cut_at_stops(text: str, stops: Sequence[str]) -> str:
    r"""A completion up to the first stop string, with tabs as four spaces.

    Args:
        text: The completion.
        stops: The stop strings.

    Returns:
        The text before the first of them, 10,000 characters at most.

    Example:
        >>> cut_at_stops("    return 1\n\ndef main():", ["\ndef "])
        '    return 1\n'
    """
    ends = [text.index(stop) for stop in stops if stop in text]
    return text[: min([*ends, _LONGEST])].replace("\t", "    ")


def finish_sample(
    problem: benchmarks.Problem,
    completion: str,
    stops: Sequence[str] = benchmarks.HUMANEVAL.stops,
    continues_prompt: bool = True,
) -> Sample:
    """The raw sample: the prompt and the completion up to a stop string.

    Args:
        problem: The task.
        completion: What the model wrote after the prompt.
        stops: The stop strings.
        continues_prompt: Whether the completion continues the prompt; otherwise it
            is a program of its own, as a chat's answer is.

    Returns:
        The sample, not yet sanitized.
    """
    before = problem.prompt if continues_prompt else ""
    return Sample(problem.task_id, before + cut_at_stops(completion, stops))


def sanitize(problem: benchmarks.Problem, sample: Sample) -> Sample:
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
        earlier = _upgrade(json_files.read_json(folder / IDENTITY, finite=False))
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


def _upgrade(identity: dict) -> dict:
    """An identity under today's names; older ones are of raw prompts of HumanEval."""
    if "humaneval" not in identity:
        return identity
    older = {"benchmark": "humaneval", "prompt_format": "raw", **identity}
    return older | {"problems": older.pop("humaneval")}


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
    problems: benchmarks.Problems, samples: list[Sample], n: int = 1
) -> list[tuple[benchmarks.Problem, int]]:
    """What is left to generate.

    Args:
        problems: All problems.
        samples: The samples there are.
        n: Samples wanted of each problem.

    Returns:
        The problems that lack samples, and how many each lacks.

    Example:
        >>> problems = benchmarks.load_problems(benchmarks.EMBEDDED, limit=2)
        >>> done = [Sample(problems.items[0].task_id, "")]
        >>> [(p.entry_point, n) for p, n in missing_samples(problems, done)]
        [('hours_and_minutes', 1)]
    """
    have = collections.Counter(sample.task_id for sample in samples)
    return [(p, n - have[p.task_id]) for p in problems.items if have[p.task_id] < n]


def append_samples(
    folder: str | os.PathLike, problems: benchmarks.Problems, samples: list[Sample]
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


def write_sanitized(
    folder: str | os.PathLike, problems: benchmarks.Problems
) -> list[Sample]:
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


def _format_sample(problems: benchmarks.Problems, sample: Sample) -> str:
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
