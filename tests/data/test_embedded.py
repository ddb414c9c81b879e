"""The embedded texts: sizes, order, split, right answers, coherent tales, and the tokenizer on them."""

import ast
import fractions
import hashlib
import importlib.util
import os
import pathlib
import re
import subprocess
import sys
import unicodedata

import hypothesis
import hypothesis.strategies as st
import pytest
import tokenizers
import transformers

from jaxent.data import embedded, tale_tables, tales, word_problems

ROOT = pathlib.Path(__file__).resolve().parents[2]
MEGABYTES = {
    "code": (3, 6),
    "natural": (0.9, 2),
    "math": (1.5, 2.5),
    "creative": (1.5, 2.5),
}
# The answers in terms of the numbers drawn, written apart from the schemas' own arithmetic.
ANSWERS = {
    "give_away": lambda a, b, g: a + b - g,
    "boxes": lambda n, k, x: n * k + x,
    "shopping": lambda a, p, b, q: sum([p] * a) + sum([q] * b),
    "change": lambda n, p, note: note - n * p,
    "share": lambda total, n, own: fractions.Fraction(total, n) + own,
    "times_as_many": lambda k, a: (k + 1) * a,
    "half_sold": lambda total, evening: fractions.Fraction(total, 2) - evening,
    "wages": lambda pay, hours, days: pay * hours * days,
    "saving": lambda price, had, week: next(
        w for w in range(999) if had + w * week >= price
    ),
    "ages": lambda age, older, later: age + older + later,
    "reading": lambda pages, day, days: pages - day * days,
    "speed": lambda v, t, w, u: v * t + w * u,
    "fence": lambda a, b, p: (a + a + b + b) * p,
    "tiles": lambda a, b, pack: fractions.Fraction(a * b, pack),
    "percent_off": lambda price, percent: fractions.Fraction(
        price * (100 - percent), 100
    ),
    "recipe": lambda batch, cups, want, has: (
        fractions.Fraction(want * cups, batch) - has
    ),
    "average": lambda x, y, z: fractions.Fraction(x + y + z, 3),
    "bus": lambda a, off, on, off2: a + on - off - off2,
    "legs": lambda cows, hens: 2 * (2 * cows + hens),
    "profit": lambda n, buy, sell: n * sell - n * buy,
    "remainder": lambda total, k: total % k,
    "minutes": lambda hours, extra, task: 60 * hours + extra - task,
    "sum_and_difference": lambda total, d: next(
        x for x in range(total) if x + x + d == total
    ),
    "tank": lambda fill, leak, size: next(
        m for m in range(999) if m * (fill - leak) >= size
    ),
    "doubling": lambda a, days: a << days,
    "think_of_a_number": lambda k, a, result: next(
        x for x in range(999) if k * x + a == result
    ),
    "fraction_left": lambda total, parts, given: (
        total * fractions.Fraction(parts - 1, parts) - given
    ),
}


@pytest.fixture(scope="module")
def problems():
    return list(word_problems.generate(3000, seed=11))


def digest(texts):
    return hashlib.blake2b("\0".join(texts).encode(), digest_size=16).hexdigest()


@pytest.mark.parametrize("domain", embedded.DOMAINS)
def test_sizes_and_distinctness(domain):
    texts = embedded.examples(domain)
    low, high = MEGABYTES[domain]
    assert low < sum(len(text.encode()) for text in texts) / 1e6 < high
    assert len(texts) >= 1000 and len(set(texts)) == len(texts)
    assert all(text.strip() and "\n***\n" not in text for text in texts)


def test_another_process_with_another_hash_seed_gives_the_same_texts():
    program = (
        "import hashlib; from jaxent.data import embedded as e\n"
        "for d in e.DOMAINS:\n"
        "  for t in (e.examples(d), *e.split(d)):\n"
        "    print(hashlib.blake2b('\\0'.join(t).encode(), digest_size=16).hexdigest())\n"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "123"}
    command = [sys.executable, "-c", program]
    found = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    expected = [
        digest(t)
        for d in embedded.DOMAINS
        for t in (embedded.examples(d), *embedded.split(d))
    ]
    assert found.stdout.split() == expected


@pytest.mark.parametrize("domain", embedded.DOMAINS)
def test_split_parts_every_example_once(domain):
    train, held_out = embedded.split(domain)
    assert not set(train) & set(held_out)
    assert set(train) | set(held_out) == set(embedded.examples(domain))
    assert 0.03 < len(held_out) / (len(train) + len(held_out)) < 0.08


def test_split_keeps_problems_that_differ_in_numbers_on_one_side():
    train, held_out = (
        {re.sub(r"\d+", "#", t) for t in side} for side in embedded.split("math")
    )
    assert not train & held_out


def test_split_keeps_plots_on_one_side():
    plot_of = {tale.text: tale.plot for tale in tales.generate(embedded.TALES, seed=0)}
    train, held_out = (
        {plot_of[t] for t in side if t in plot_of}
        for side in embedded.split("creative")
    )
    assert held_out and not train & held_out


def test_code_is_whole_definitions_of_ten_to_sixty_lines():
    for text in embedded.examples("code"):
        (node,) = ast.parse(text).body
        assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        assert 10 <= len(text.splitlines()) <= 60


def test_code_and_documentation_come_from_the_folder_in_sorted_order(tmp_path):
    body = "\n".join(f"    x{i} = {i}" for i in range(10))
    for name in (
        "b.py",
        "a/c.py",
        "test/d.py",
        "site-packages/e.py",
        "idlelib/f.py",
        "broken.py",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        stem = pathlib.Path(name).stem
        (tmp_path / name).write_text(f'"""About {stem}."""\ndef {stem}():\n{body}\n')
    (tmp_path / "broken.py").write_text("def (:\n")
    found = embedded.library(tmp_path)
    assert [passage.family for passage in found.code] == ["c", "b"]
    assert [d.text for d in found.documents if d.text] == ["About c.", "About b."]


def test_long_classes_give_their_members(tmp_path):
    method = "    @property\n    def m{0}(self):\n" + "        pass\n" * 29
    (tmp_path / "a.py").write_text(
        "class A:\n" + "".join(method.format(i) for i in range(3))
    )
    found = embedded.library(tmp_path).code
    assert [passage.text.splitlines()[:2] for passage in found] == [
        ["@property", f"def m{i}(self):"] for i in range(3)
    ]
    assert {passage.family for passage in found} == {"A"}


def test_natural_is_prose():
    for text in embedded.examples("natural"):
        assert len(text.split()) >= 40
        assert ">>>" not in text and "::=" not in text and "****" not in text


def test_absent_sources_and_unknown_domains_are_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match="found no .py files in .*expected a normal Python"
    ):
        embedded.library(tmp_path / "nowhere")
    with pytest.raises(
        ValueError, match="found 'maths', expected one of code, math, natural, creative"
    ):
        embedded.examples("maths")


def test_every_answer_equals_an_independent_evaluation(problems):
    for problem in problems:
        assert ANSWERS[problem.schema](*problem.values) == problem.answer, (
            problem.text()
        )
        assert problem.answer > 0
    assert {problem.schema for problem in problems} == set(ANSWERS) and len(
        ANSWERS
    ) >= 20


def test_every_step_is_a_true_equation_and_the_last_one_gives_the_answer(problems):
    for problem in problems:
        results = []
        for step in problem.steps:
            ((left, right),) = re.findall(r"(\d[\d */+-]*\d) = (\d+)", step)
            tree = re.sub(r"\d+", r"fractions.Fraction(\g<0>)", left)
            assert eval(tree) == int(right), (
                step
            )  # digits and operators only, by the pattern above
            results.append(int(right))
        assert results[-1] == problem.answer, problem.text()


def test_questions_name_every_number_and_end_in_the_answer(problems):
    for problem in problems:
        numbers = [int(n) for n in re.findall(r"\d+", problem.question)]
        assert all(value in numbers for value in problem.values), problem.text()
        assert len(numbers) - len(problem.values) <= 1, problem.text()
        assert problem.text().endswith(f"\n#### {problem.answer}")
        assert (
            problem.text().startswith("Question: ") and "\nAnswer: " in problem.text()
        )


def test_hand_written_stories():
    path = ROOT / "jaxent/data/embedded/stories.txt"
    stories = path.read_text(encoding="utf-8").split("\n***\n")
    assert len(stories) >= 24 and len(
        {story.splitlines()[0] for story in stories}
    ) == len(stories)
    assert all(150 <= len(story.split()) <= 350 for story in stories)
    assert [story.strip() for story in stories] == embedded.examples("creative")[
        : len(stories)
    ]


def test_tales_are_filled_in_capitalised_and_have_two_people():
    names = {name for name, _ in tale_tables.NAMES}
    drawn = list(tales.generate(1500, seed=5))
    for tale in drawn:
        assert not re.search(r"[{}]|\ba [aeiou]\w+ (?:named|called)|  ", tale.text), (
            tale.text
        )
        assert not re.search(r"[.!?] [a-z]", tale.text), tale.text
        assert tale.text[0].isupper() or tale.text[0] == '"'
        assert len(names & set(re.findall(r"\w+", tale.text))) == 2, tale.text
    assert len({tale.text for tale in drawn}) == len(drawn)
    assert len({tale.plot for tale in drawn}) > 250


@pytest.fixture(scope="module")
def script():
    path = ROOT / "scripts/pretrain_tiny_tokenizer.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def tokenizer(script):
    return script.train_tokenizer(1024)


@hypothesis.given(st.text())
@hypothesis.example("def f(x):\n\treturn  x   # naïve 漢字 🎉\r\n\x00 1234")
@hypothesis.settings(deadline=None, max_examples=100)
def test_any_text_comes_back_in_normal_form(tokenizer, text):
    ids = tokenizer.encode(text).ids
    assert tokenizer.decode(ids) == unicodedata.normalize("NFC", text)
    assert 0 not in ids or "<|endoftext|>" in text


def test_tokenizer_is_reproducible_and_compresses(script, tokenizer):
    assert tokenizer.get_vocab_size() == 1024
    assert script.train_tokenizer(1024).to_str() == tokenizer.to_str()
    for domain in embedded.DOMAINS:
        assert script.bytes_per_token(tokenizer, embedded.split(domain)[1]) > 2
    with pytest.raises(ValueError, match="vocab_size: found 100, expected 257 or more"):
        script.train_tokenizer(100)


def test_training_texts_are_balanced_and_never_held_out(script):
    taken = set(script.balanced_texts())
    for domain in embedded.DOMAINS:
        train, held_out = embedded.split(domain)
        assert not taken & set(held_out)
    sizes = [
        sum(len(t.encode()) for t in embedded.examples(d) if t in taken)
        for d in embedded.DOMAINS
    ]
    assert max(sizes) < 1.02 * min(sizes)


def test_saved_folder_loads_in_transformers(script, tokenizer, tmp_path):
    script.save(tokenizer, tmp_path)
    loaded = transformers.AutoTokenizer.from_pretrained(tmp_path)
    text = embedded.examples("code")[0] + " é漢🎉<|endoftext|>"
    assert loaded(text)["input_ids"] == tokenizer.encode(text).ids
    assert (
        loaded.eos_token_id,
        loaded.pad_token_id,
        loaded.bos_token_id,
        loaded.model_max_length,
    ) == (0, 0, None, 512)
    assert (
        tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json")).to_str()
        == tokenizer.to_str()
    )
