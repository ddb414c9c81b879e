"""Rows of files in three forms, and what is refused."""

import json

import pytest

from jaxent.data import rows


def write(tmp_path, name, text):
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return file


def test_json_lines_and_json_lists_give_the_same_rows(tmp_path):
    expected = [{"text": "é\u2028x"}, {"text": "b"}]
    lines = "\n\n".join(json.dumps(row, ensure_ascii=False) for row in expected)
    assert list(rows.read_file(write(tmp_path, "a.jsonl", lines))) == expected
    whole = json.dumps(expected, ensure_ascii=False)
    assert list(rows.read_file(write(tmp_path, "a.json", whole))) == expected


def test_a_formula_is_no_heading(tmp_path):
    text = (
        " = Constant k filter = \n A filter with \n"
        " = 1 henry and capacitance C = \n 1 farad . \n = Nero = \n He ruled . \n"
    )
    articles = list(rows.read_file(write(tmp_path, "wikitext.txt", text)))
    assert [row["title"] for row in articles] == ["Constant k filter", "Nero"]
    assert articles[1]["text"] == "He ruled ."
    assert articles[0]["text"].endswith("1 farad .")


def test_files_that_hold_no_rows_are_named(tmp_path):
    with pytest.raises(ValueError, match="a.json: holds an object, expected a list"):
        list(rows.read_file(write(tmp_path, "a.json", "{}")))
    with pytest.raises(ValueError, match="a.jsonl, line 2: not JSON"):
        list(rows.read_file(write(tmp_path, "a.jsonl", "{}\n{bad\n")))
    with pytest.raises(ValueError, match="a: no rows, expected those of b"):
        list(rows.check_columns([], ("text",), "a", "b"))


def test_text_comes_as_it_was_written_on_any_system(tmp_path):
    """Byte order marks and Windows' line ends change nothing."""
    text = " = Nero = \n He ruled\u2028twice . \n"
    plain = list(rows.read_file(write(tmp_path, "a.txt", text)))
    windows = "\ufeff" + text.replace("\n", "\r\n")
    (tmp_path / "b.txt").write_bytes(windows.encode())
    assert list(rows.read_file(tmp_path / "b.txt")) == plain
    assert plain == [{"title": "Nero", "text": "He ruled\u2028twice ."}]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        (
            "a.jsonl",
            b'{"text": "\x93so\x94"}',
            "a.jsonl, line 1: byte 0x93 is not UTF-8",
        ),
        ("a.jsonl", b'{"t": 1}\n{"t": "\\ud83d"}', "a.jsonl, line 2: t: .* surrogate"),
        ("a.jsonl", b'{"t": 1}\n{"t": "cut', "a.jsonl, line 2: it ends within a value"),
        ("a.jsonl", b"[" * 10**5, "a.jsonl, line 1: nested too deeply"),
        ("a.json", b'[{"t": ' + b"9" * 5000 + b"}]", "a.json: a number of hundreds"),
        ("a.json", b'{"train": []}', "a.json: holds an object, expected a list"),
        ("a.txt", b"\xff\xfe = \0N\0", "a.txt: UTF-16, expected text in UTF-8"),
        ("a.txt", b"one\ncaf\xe9", "a.txt, line 2: byte 0xe9 is not UTF-8"),
    ],
)
def test_damaged_files_are_named_with_the_place(tmp_path, name, content, problem):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=problem):
        list(rows.read_file(tmp_path / name))


def test_nan_may_stand_in_a_column_that_nobody_reads(tmp_path):
    [row] = rows.read_file(write(tmp_path, "a.jsonl", '{"text": "a", "score": NaN}'))
    assert row["text"] == "a"


def test_rows_pass_until_one_is_wrong():
    checked = rows.check_columns([{"text": "a"}, {"text": 3}], ("text",), "f", "s")
    assert next(checked) == {"text": "a"}
    with pytest.raises(ValueError, match="f, row 2: column 'text' holds 3"):
        next(checked)


def test_what_the_hub_does_not_give_is_one_line(monkeypatch):
    import datasets

    def stream(*_, **__):
        yield {"text": "a"}
        raise OSError("the connection\nbroke")

    monkeypatch.setattr(datasets, "load_dataset", stream)
    hub = rows.read_hub("owner/name", None, "train")
    assert next(hub) == {"text": "a"}
    with pytest.raises(FileNotFoundError, match="owner/name: .* .the connection.; use"):
        next(hub)
