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
    with pytest.raises(ValueError, match="a.json: a JSON dict, expected a list"):
        list(rows.read_file(write(tmp_path, "a.json", "{}")))
    with pytest.raises(ValueError, match="a.jsonl line 2: not JSON"):
        list(rows.read_file(write(tmp_path, "a.jsonl", "{}\n{bad\n")))
    with pytest.raises(ValueError, match="a: no rows, expected those of b"):
        list(rows.check_columns([], ("text",), "a", "b"))


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
