import json

import pytest

from jaxent.data import own, rows


def write(file, *found):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in found), encoding="utf-8")
    return str(file)


def records(path, **columns):
    return list(own.read_records(own.resolve(own.OwnSource("d", str(path), **columns))))


MESSAGES = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]


@pytest.mark.parametrize(
    ("row", "columns", "expected", "loss_on"),
    [
        ({"text": "one"}, {}, "one", "all"),
        ({"prompt": "p", "completion": "c"}, {}, ("p", "c"), "completion"),
        ({"messages": MESSAGES}, {}, MESSAGES, "completion"),
        ({"body": "b", "text": "t"}, {"text_column": "body"}, "b", "all"),
        (
            {"q": "p", "a": "c"},
            {"prompt_column": "q", "completion_column": "a", "loss_on": "all"},
            ("p", "c"),
            "all",
        ),
    ],
)
def test_columns_decide_form_and_loss(tmp_path, row, columns, expected, loss_on):
    file = write(tmp_path / "own.jsonl", row)
    assert records(file, **columns) == [expected]
    assert own.resolve(own.OwnSource("d", file, **columns)).loss_on == loss_on


@pytest.mark.parametrize(
    ("row", "columns", "message"),
    [
        ({"body": "b", "id": 1}, {}, "found the columns body, id; name those to train"),
        ({"text": "t", "messages": MESSAGES}, {}, "found the columns text, messages"),
        ({"body": "b"}, {"text_column": "text"}, "'text' is missing .found body"),
        ({"text": 12}, {}, "row 1: column 'text' holds 12 .found text., expected text"),
        ({"text": None}, {}, "row 1: column 'text' holds None"),
        ({"prompt": "p", "completion": 4}, {}, "column 'completion' holds 4 "),
        ({"prompt": MESSAGES, "completion": "c"}, {}, "column 'prompt' holds .{'role'"),
        (
            {"messages": json.dumps(MESSAGES)},
            {},
            "'messages': holds .* expected a list",
        ),
        ({"text": "t"}, {"messages_column": "chat"}, "'chat' is missing .found text"),
        (
            {"text": "t"},
            {"loss_on": "completion"},
            "d: loss_on=completion with text_column",
        ),
        ([1], {}, "line 1: holds a list, expected an object"),
    ],
)
def test_wrong_columns_are_named_with_those_there_are(tmp_path, row, columns, message):
    file = write(tmp_path / "own.jsonl", row)
    with pytest.raises(ValueError, match=message) as caught:
        own.resolve(own.OwnSource("d", file, **columns))
    assert "\n" not in str(caught.value)


def test_a_bad_row_further_down_is_named(tmp_path):
    file = write(tmp_path / "own.jsonl", {"text": "a"}, {"text": 3.5})
    with pytest.raises(ValueError, match="own.jsonl, row 2: column 'text' holds 3.5"):
        records(file)
    file = write(tmp_path / "chat.jsonl", {"messages": MESSAGES}, {"messages": [3]})
    with pytest.raises(
        ValueError, match="row 2: column 'messages': message 1: role is"
    ):
        records(file)


def test_a_folder_is_read_in_order_and_other_splits_are_refused(tmp_path):
    write(tmp_path / "d" / "part-1.jsonl", {"text": "b"})
    write(tmp_path / "d" / "part-0.jsonl", {"text": "a"})
    (tmp_path / "d" / "LICENSE.txt").write_text("not a text to train on")
    (tmp_path / "d" / ".hidden.jsonl").write_text("{")
    assert records(tmp_path / "d") == ["a", "b"]
    write(tmp_path / "d" / "test-0.jsonl", {"text": "c"})
    with pytest.raises(ValueError, match="test-0.jsonl is named as another split"):
        records(tmp_path / "d")


def test_a_folder_of_texts_is_a_text_a_file(tmp_path):
    for name in ("b", "a"):
        (tmp_path / f"{name}.txt").write_text(f"text of {name}\n")
    assert records(tmp_path) == ["text of a\n", "text of b\n"]


def test_a_folder_of_two_kinds_or_none_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match="found no files, expected files of one of .js"
    ):
        records(tmp_path)
    write(tmp_path / "a.jsonl", {"text": "a"})
    (tmp_path / "a.csv").write_text("text\na\n")
    with pytest.raises(
        ValueError, match="found 1 .csv, 1 .jsonl, expected files of one"
    ):
        records(tmp_path)


def test_what_is_not_there_is_no_hub_id_by_chance(tmp_path):
    for path in ("own.jsonl", "data/own.jsonl", "/nowhere/own", "a/b/c"):
        assert own.OwnSource("d", path).hub_id is None
        with pytest.raises(
            FileNotFoundError, match="no such file or folder, and not a"
        ):
            own.resolve(own.OwnSource("d", path))
    assert own.OwnSource("d", "owner/name").hub_id == ("owner/name", None)
    assert own.OwnSource("d", "owner/na.me:en-1").hub_id == ("owner/na.me", "en-1")
    file = write(tmp_path / "own.jsonl", {"text": "a"})
    with pytest.raises(ValueError, match="revision 'main' of .* data set of the Hub"):
        own.resolve(own.OwnSource("d", file, revision="main"))


def test_the_hub_is_asked_for_the_revision(monkeypatch):
    asked = []

    def read_hub(*arguments):
        asked.append(arguments)
        return iter([{"text": "a"}, {"text": "b"}])

    monkeypatch.setattr(rows, "read_hub", read_hub)
    source = own.OwnSource("d", "owner/of-this-test:en", revision="v2")
    assert list(own.read_records(own.resolve(source), 1)) == ["a"]
    assert set(asked) == {("owner/of-this-test", "en", "train", "v2")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("law", "--domain 'law': expected NAME=PATH"),
        ("=law.jsonl", "expected NAME=PATH"),
        ("a:b=x.jsonl", "domain a:b'*: expected letters"),
        ("law=x,prompt_column=p", "found prompt_column, expected text_column, or"),
        ("law=x,text_column=t,messages_column=m", "found text_column and messages_col"),
        ("law=x,loss_on=prompt", "loss_on 'prompt', expected one of all, completion"),
        ("law=x,loss_on=completion,text_column=t", "loss_on=completion with text_col"),
    ],
)
def test_a_domain_in_another_form_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        own.parse_domain(text)


def test_a_domains_own_columns_win_over_the_flags():
    defaults = {"text_column": "body", "loss_on": "all"}
    assert own.parse_domain("a=x.jsonl", **defaults).columns == {"text_column": "body"}
    source = own.parse_domain(
        "a=x,y.jsonl,prompt_column=q,completion_column=the answer", **defaults
    )
    assert source.path == "x,y.jsonl" and source.loss_on == "all"
    assert source.columns == {"prompt_column": "q", "completion_column": "the answer"}
