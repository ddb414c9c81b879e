"""JSON, JSON Lines and text: what is read, and how each kind of damage is named.

Every damaged text below is one that users of public libraries have met.
"""

import json

import hypothesis
import pytest
from hypothesis import strategies as st

from jaxent import json_files

SEPARATORS = "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"  # where str.splitlines would split
TINY = {"derandomize": True, "deadline": None, "max_examples": 40}


def refusal(content, **options) -> str:
    with pytest.raises(json_files.FileError) as caught:
        json_files.parse_json(content, "/models/a.json", **options)
    text = str(caught.value)
    assert text.startswith("/models/a.json")
    assert caught.value.problem == text.removeprefix("/models/a.json").lstrip(",: ")
    assert "\n" not in text
    return caught.value.problem


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "empty, expected JSON"),
        (b" \n", "empty, expected JSON"),
        (b"\xef\xbb\xbf", "empty, expected JSON"),
        (b'{\n"a": 1', "line 2: it ends within a value"),
        (b'{\n"a": {"b": "c', "line 2: it ends within a value"),
        (b'{"a": 1,\n', "line 2: it ends within a value"),
        (b'{"a": "caf\xc3', "line 1: byte 0xc3 is not UTF-8"),
        (b'{"do_sample": true.\n "b": 1}', "line 1: not JSON (Expecting ',' delimiter"),
        (b'{"a": 1,}', "not JSON (Expecting property name"),
        (b"{'a': 1}", "found \"'a': 1}\""),
        (b'// made by hand\n{"a": 1}', "found '// made by hand'"),
        (b'{"a": 1}\n{"a": 2}', "line 2: not JSON (Extra data"),
        (b'{"a": "x\ny"}', "line 1: not JSON (Invalid control character"),
        (b'{"a": undefined}', "line 1: not JSON (Expecting value at column 7)"),
        (b'{\n"a": "\x93quoted\x94"}', "line 2: byte 0x93 is not UTF-8"),
        (b'{"a": "\xed\xa0\xbd"}', "line 1: byte 0xed is not UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "UTF-16, expected text in UTF-8"),
        ('{"a": 1}'.encode("utf-16-le"), "begins with a zero byte"),
        (bytes(16), "begins with a zero byte"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer"),
        (b"<!DOCTYPE html>", "a page of HTML or XML"),
        (b"\x1f\x8b\x08", "compressed by gzip"),
        (b"PK\x03\x04", "a zip archive"),
        (b"PAR1", "a Parquet file"),
        (b"[1]", "holds a list, expected an object"),
        (b'"a"', "holds a string, expected an object"),
        (b"null", "holds null, expected an object"),
        (b"true", "holds a boolean, expected an object"),
        (b"-1.5", "holds a number, expected an object"),
        (b'{"a": NaN}', "a: nan, expected a finite number"),
        (b'{"a": [{"b": -Infinity}]}', "a.0.b: -inf, expected a finite number"),
        (b'{"a": 1e999}', "a: inf, expected a finite number"),
        (b'{"a": ' + b"1" * 5000 + b"}", "a number of hundreds of digits"),
        (b'{"a": ' + b"1" * 400 + b"}", "a: a number of hundreds of digits"),
        (b"[" * 100_000, "nested too deeply, expected 500 levels at most"),
        (b'{"a":' * 100_000, "nested too deeply, expected 500 levels at most"),
        (b'{"a":' * 600 + b"1" + b"}" * 600, "nested too deeply"),
        (b'{"a": "smile \\ud83d"}', r"a: '\ud83d' is half of a character"),
        (b'{"a": ["\\ude00\\ud83d"]}', r"a.0: '\ude00' is half of a character"),
        (b'{"\\ud83d": 1}', r"key '\ud83d' holds half of a character"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "key 'c' comes twice, with two values"),
    ],
)
def test_damage_is_named_with_its_place(content, problem):
    assert problem in refusal(content)


@pytest.mark.parametrize("content", ['{"r": 8', "{}\n{}", "[]", "", '{"r": NaN}'])
def test_the_line_of_a_file_is_named(content):
    """Not the line within the line, which is always the first."""
    assert refusal(content, line=7).startswith("line 7: ")


def test_what_is_sound_is_read():
    parse = json_files.parse_json
    assert parse(b'\xef\xbb\xbf{"a": "\\ud83d\\ude00"}', "a") == {"a": "\U0001f600"}
    assert parse('\ufeff{"a": 1}', "a") == {"a": 1}
    assert parse('{"a": 1, "a": 1}', "a") == {"a": 1}
    assert parse("[NaN, 1e999]", "a", list, finite=False)[1] == float("inf")
    long = 1000000000000000019884624838656  # the model_max_length of many tokenizers
    assert parse(f'{{"a": {long}}}', "a") == {"a": long}
    assert parse("[" * 500 + "]" * 500, "a", None)
    assert parse("3", "a", None) == 3


def test_lines_end_at_line_feeds_alone(tmp_path):
    texts = [f"a{separator}b" for separator in SEPARATORS]
    rows = [{"text": text} for text in texts]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    lines = [line for line in lines if "\\" not in line]  # controls come escaped
    file = tmp_path / "a.jsonl"
    for end in ("\n", "\r\n"):
        file.write_bytes(end.join(lines).encode())
        found = list(json_files.read_json_lines(file))
        assert found == rows[-3:] and len(found) == len(lines)
    file.write_bytes("\n".join(map(json.dumps, rows)).encode())
    assert list(json_files.read_json_lines(file)) == rows


def test_byte_order_marks_and_blank_lines(tmp_path):
    """Two files with marks, joined by `cat`, hold a mark in their middle."""
    file = tmp_path / "a.jsonl"
    file.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n\r\n \n\xef\xbb\xbf{"a": 2}')
    assert list(json_files.read_json_lines(file)) == [{"a": 1}, {"a": 2}]


def test_rows_come_until_one_is_damaged(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_bytes(b'{"a": 1}\n\n{"a": "\x93"}\n')
    rows = json_files.read_json_lines(file)
    assert next(rows) == {"a": 1}
    with pytest.raises(json_files.FileError, match=r"a\.jsonl, line 3: byte 0x93"):
        next(rows)


def test_a_cut_last_line_is_left_out_of_a_log_only(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_bytes(b'{"a": 1}\n{"a": "\xc3')
    assert list(json_files.read_json_lines(file, whole=True)) == [{"a": 1}]
    with pytest.raises(json_files.FileError, match="line 2: byte 0xc3"):
        list(json_files.read_json_lines(file))
    file.write_bytes(b'{"a": 1}\n{"a": 2}')
    assert len(list(json_files.read_json_lines(file))) == 2


def test_a_list_over_several_lines_is_no_json_lines(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text(json.dumps([{"a": 1}], indent=1))
    with pytest.raises(json_files.FileError, match="line 1: it ends within a value"):
        list(json_files.read_json_lines(file))


def test_texts_have_one_kind_of_line_end(tmp_path):
    file = tmp_path / "a.txt"
    file.write_bytes("\ufeff<s> é\u2028\r\nb\rc\n".encode())
    assert json_files.read_text(file) == "<s> é\u2028\nb\nc\n"
    file.write_bytes("one\ncafé".encode("cp1252"))
    with pytest.raises(json_files.FileError, match=r"a\.txt, line 2: byte 0xe9"):
        json_files.read_text(file)


def test_what_cannot_be_opened_is_named(tmp_path):
    loop = tmp_path / "loop.json"
    loop.symlink_to(loop)
    readers = (
        json_files.read_json,
        json_files.read_text,
        lambda path: list(json_files.read_json_lines(path)),
    )
    for path, reason in ((tmp_path, "Is a directory"), (loop, "Too many levels")):
        for read in readers:
            with pytest.raises(json_files.FileError, match=f"{path}: .*{reason}"):
                read(path)
    for read in readers:
        with pytest.raises(FileNotFoundError):
            read(tmp_path / "nothing.json")


def problem_of(content: bytes) -> str | None:
    try:
        json_files.parse_json(content, "a.json")
    except json_files.FileError as error:
        return str(error)
    return None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@hypothesis.settings(**TINY)
@hypothesis.given(VALUES, st.booleans())
def test_values_equal_those_of_the_standard_library(value, ascii_only):
    text = json.dumps(value, ensure_ascii=ascii_only)
    found = json_files.parse_json(text.encode(), "a", None, finite=False)
    assert json.dumps(found) == json.dumps(value)


@hypothesis.settings(**TINY)
@hypothesis.given(st.binary(max_size=40) | st.text().map(str.encode), st.data())
def test_bytes_are_read_or_refused_in_one_line(content, data):
    whole = json.dumps({"a": [1.5, "é", None]}, ensure_ascii=False).encode()
    cut = data.draw(st.integers(0, len(whole)))
    for damaged in (content, whole[:cut], whole[:cut] + content + whole[cut:]):
        problem = problem_of(damaged)
        assert problem is None or problem.startswith("a.json")
        assert problem is None or len(problem.splitlines()) == 1
