"""Small problems of this project in the formats of HumanEvalPlus and MbppPlus."""

import json
import pathlib

HUMANEVAL = [
    {
        "task_id": f"HumanEval/{i}",
        "entry_point": name,
        "prompt": f'\n\ndef {name}(x):\n    """Adds {i}."""\n',
        "canonical_solution": f"    return x + {i}\n",
        "contract": "",
        "base_input": [[1]],
        "plus_input": [[2]],
        "atol": 0,
    }
    for i, name in enumerate(["one", "two", "three"])
]


def _mbpp(task, entry_point, text, assertion, solution, base_input, plus_input, atol=0):
    return {
        "task_id": f"Mbpp/{task}",
        "prompt": f'"""\n{text}\n{assertion}\n"""\n',
        "entry_point": entry_point,
        "canonical_solution": "\n" + solution,
        "base_input": base_input,
        "atol": atol,
        "plus_input": plus_input,
        "contract": "\n",
        "assertion": assertion,
    }


MBPP = [
    # Inputs of Mbpp/2 become tuples, and its outputs are compared as sets.
    _mbpp(
        2,
        "similar_elements",
        "Write a function that gives what two tuples share.",
        "assert set(similar_elements((1, 2), (2, 3))) == {2}",
        "def similar_elements(a, b):\n    return tuple(sorted(set(a) & set(b)))\n",
        [[[1, 2, 3], [2, 3]]],
        [[[5, 4], [4, 5]], [[1], [2]]],
    ),
    # A match object cannot be kept: only whether there is one.
    _mbpp(
        737,
        "check_str",
        "Write a function that matches a leading capital.",
        "assert check_str('Ab')",
        "import re\n\ndef check_str(s):\n    return re.match('[A-Z]', s)\n",
        [["Ab"], ["ab"]],
        [["Z"], [""]],
    ),
    # A number of no special task: inputs stay lists.
    _mbpp(
        20,
        "largest",
        "Write a function that gives the largest number.",
        "assert largest([1, 3]) == 3",
        "def largest(numbers):\n    return max(numbers)\n",
        [[[1, 3]]],
        [[[-1, -5]], [[7]]],
    ),
    # The input of Mbpp/252 is a complex number in a string.
    _mbpp(
        252,
        "double",
        "Write a function that doubles a complex number.",
        "assert double(1j) == 2j",
        "def double(z):\n    return 2 * z\n",
        [["1j"]],
        [["(1+2j)"]],
        atol=1e-4,
    ),
]


def write(path: pathlib.Path, lines: list[dict]) -> pathlib.Path:
    """Writes problems, a line each."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path
