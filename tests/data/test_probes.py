import json
import pathlib

import pytest

from jaxent.data import probes

FILES = sorted(pathlib.Path(probes.__file__).with_name("probes").glob("*.jsonl"))
REPLICATES = {"triad": 8, "hexad": 5}


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_texts_satisfy_the_validator(file):
    texts = probes._read(file)
    assert probes.find_problems(texts) == []
    probes.check_balance(texts, file.name)
    assert len(texts) == 16 * REPLICATES[file.stem.split("_")[0]]
    assert {p.domain for p in texts} == {file.stem.split("_")[-1]}


@pytest.mark.parametrize("name", probes.DOMAINS)
def test_whole_sets_satisfy_the_validator(name):
    """Topics are distinct and lengths matched across domains, not in each file only."""
    assert probes.find_problems(probes.load_probes(name).probes) == []


def rows(**change):
    text = " ".join(f"word{i}" for i in range(30))
    made = [
        {
            "id": f"{r}-{s}",
            "domain": "code",
            "register": r,
            "shape": s,
            "replicate": 0,
            "topic": f"{r} {s}",
            "text": f"{r[:3]} {s} {text}",
        }
        for r in probes.REGISTERS
        for s in probes.SHAPES
    ]
    made[3] |= change
    return made


def write(tmp_path, made):
    file = tmp_path / "own.jsonl"
    file.write_text("\n".join(map(json.dumps, made)) + "\n")
    return str(file)


def test_own_file_with_a_mark_and_odd_separators(tmp_path):
    """A probe may hold U+2028; an editor may have put a byte order mark first."""
    made = rows(text="one\u2028two " * 15)
    lines = [json.dumps(row, ensure_ascii=False) for row in made]
    file = tmp_path / "own.jsonl"
    file.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    plain = probes.load_probes(write(tmp_path / "..", made))
    assert probes.load_probes(str(file)).texts == plain.texts


def test_own_file(tmp_path):
    found = probes.load_probes(write(tmp_path, rows()))
    assert (
        found.name == "own"
        and len(found.probes) == 16
        and found.labels[0]["register"] == "formal"
    )
    other = probes.load_probes(write(tmp_path, rows(text="another " * 30)))
    assert other.hash != found.hash


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": "causal"}, "replicate 0 has 2 texts in cell .*'causal'"),
        ({"extra": 1}, "line 4: fields"),
        ({"text": rows()[2]["text"]}, "the text .* appears 2 times"),
        ({"id": rows()[2]["id"]}, "the id .* appears 2 times"),
        ({"replicate": "a"}, "line 4: replicate 'a', expected 0, 1"),
        ({"replicate": -1}, "line 4: replicate -1, expected 0, 1"),
        ({"text": " "}, "line 4: text ' ', expected text"),
        ({"domain": None}, "line 4: domain None, expected text"),
        ({"topic": ""}, "line 4: topic '', expected text"),
    ],
)
def test_bad_files_are_refused(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        probes.load_probes(write(tmp_path, rows(**change)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no probes"),
        ("3\n", "line 1: holds a number, expected an object"),
        ("{\n", "line 1: it ends within a value"),
        ('\n{"id": NaN}\n', "line 2: id: nan, expected a finite number"),
        ('{"text": "\\ud83d"}\n', "line 1: text: .* half of a character"),
    ],
)
def test_what_is_no_probe_file(tmp_path, text, message):
    (tmp_path / "own.jsonl").write_text(text)
    with pytest.raises(ValueError, match=message):
        probes.load_probes(str(tmp_path / "own.jsonl"))


def test_a_topic_in_two_replicate_sets_is_refused(tmp_path):
    made = rows()
    second = [
        row
        | {
            "replicate": 1,
            "id": row["id"] + "b",
            "text": row["text"] + " again",
            "topic": row["topic"] + " anew",
        }
        for row in made
    ]
    assert len(probes.load_probes(write(tmp_path, made + second)).probes) == 32
    second[5]["topic"] = made[9]["topic"].upper() + " "
    with pytest.raises(ValueError, match="topic") as error:
        probes.load_probes(write(tmp_path, made + second))
    assert "is in replicates 0 and 1, expected in one" in str(error.value)
    assert "\n" not in str(error.value)
    assert probes.load_probes(write(tmp_path, made + second), 1).probes


def test_validator_finds_label_words_and_lengths():
    texts = [
        probes.Probe(**row) for row in rows(text="A constrained coder writes this.")
    ]
    found = probes.find_problems(texts)
    assert any("label word 'constrain'" in line for line in found) and any(
        "5 words" in line for line in found
    )


def test_missing_file():
    with pytest.raises(
        FileNotFoundError,
        match="expected triad, hexad, triad_v2, hexad_v2 or a JSONL file",
    ):
        probes.load_probes("nowhere.jsonl")
