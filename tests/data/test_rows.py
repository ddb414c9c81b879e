"""Rows of files in three forms, and what is refused."""

import csv
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


def test_every_kind_of_file_gives_the_same_rows_untyped(tmp_path):
    """What readers that guess types turn into numbers, dates and nothing."""
    import pyarrow
    import pyarrow.parquet

    values = ["007", "1e5", "NA", "None", "2024-01-02", "true", 'a "b", c\nd', "é"]
    found = [{"id": str(n), "text": value} for n, value in enumerate(values)]
    lines = [json.dumps(row) for row in found]
    (tmp_path / "a.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "a.json").write_text(f"[{','.join(lines)}]", encoding="utf-8")
    table = pyarrow.Table.from_pylist(found)
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    for name, delimiter in (("a.csv", ","), ("a.tsv", "\t")):
        with (tmp_path / name).open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.DictWriter(file, ["id", "text"], delimiter=delimiter)
            writer.writeheader()
            writer.writerows(found)
    names = [f"a{kind}" for kind in rows.TABLES]
    assert sorted(names) == sorted(file.name for file in tmp_path.iterdir())
    for name in names:
        assert list(rows.read_table(tmp_path / name)) == found, name


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"text\na,b\n", "a.csv line 2: 2 values, expected 1 .text."),
        ("a.csv", b"text,text\na,b\n", "expected different columns, found"),
        ("a.csv", b'text\n"a\n', "a.csv line 2: not CSV .unexpected end of data."),
        ("a.csv", b"text\n\xff\n", "a.csv: not UTF-8"),
        ("a.parquet", b"PAR1", "a.parquet: not a parquet file"),
        ("a.txt", b"\xff", "a.txt, line 1: byte 0xff is not UTF-8"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        list(rows.read_table(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_blank_lines_of_csv_are_no_rows(tmp_path):
    (tmp_path / "a.csv").write_text("text\na\n\nb\n\n")
    assert [row["text"] for row in rows.read_table(tmp_path / "a.csv")] == ["a", "b"]
