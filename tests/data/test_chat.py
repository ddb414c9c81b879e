import pathlib
import shutil

import numpy as np
import pytest
import transformers

from jaxent.data import chat, corpora, examples, tokens

TINY = pathlib.Path(corpora.__file__).parent / "checkpoints" / "tiny"
CONVERSATION = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What is 2 + 2?"},
    {"role": "assistant", "content": "It is 4."},
    {"role": "user", "content": "And 3 + 3?"},
    {"role": "assistant", "content": "6"},
]
# ChatML without special tokens of its own, as the tiny tokenizer has none.
HEAD = "{% for m in messages %}{{ '<' + m['role'] + '>\\n' }}"
MARKED = (
    HEAD
    + "{% if m['role'] == 'assistant' %}{% generation %}{{ m['content'] + eos_token"
    " }}{% endgeneration %}{% else %}{{ m['content'] }}{% endif %}{{ '\\n' }}"
    "{% endfor %}"
)
PLAIN = (
    HEAD + "{{ m['content'] }}{% if m['role'] == 'assistant' %}{{ eos_token }}{% endif"
    " %}{{ '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<assistant>\\n' }}"
    "{% endif %}"
)
ENDLESS = PLAIN.replace("{{ eos_token }}", "")
# As templates that leave the thinking of earlier turns out.
REWRITING = PLAIN.replace("{{ m['content'] }}", "{{ m['content'][: 99 * loop.last] }}")
REFUSING = "{{ raise_exception('roles must alternate') }}"


def tokenizer_with(tmp_path, template, of=TINY):
    folder = tmp_path / "tokenizer"
    shutil.copytree(of, folder, dirs_exist_ok=True)
    if template:
        (folder / "chat_template.jinja").write_text(template)
    return tokens.load_tokenizer(folder)


def answers(tokenizer, messages=CONVERSATION):
    ids, counted = chat.encode_messages(tokenizer, messages)
    return tokenizer.fast.decode(np.array(ids)[counted], skip_special_tokens=False)


def test_marked_turns_are_transformers_own(tmp_path):
    tokenizer = tokenizer_with(tmp_path, MARKED)
    expected = tokenizer.fast.apply_chat_template(
        CONVERSATION, return_dict=True, return_assistant_tokens_mask=True
    )
    ids, counted = chat.encode_messages(tokenizer, CONVERSATION)
    assert ids == list(expected["input_ids"]) and sum(expected["assistant_masks"]) > 5
    assert counted == [bool(flag) for flag in expected["assistant_masks"]]


def test_without_marks_the_same_turns_are_found(tmp_path):
    eos = tokens.load_tokenizer(TINY).fast.eos_token
    assert answers(tokenizer_with(tmp_path / "a", MARKED)) == f"It is 4.{eos}6{eos}"
    # What follows an end token up to the next turn is part of the turn.
    plain = answers(tokenizer_with(tmp_path / "b", PLAIN))
    assert plain == f"It is 4.{eos}\n6{eos}\n"


def test_the_template_writes_the_only_bos(shared, tmp_path):
    """Rendered text that is tokenized with special tokens would have two."""
    of = shared / "tokenizers" / "mistral-7b-v0.3"
    tokenizer = tokenizer_with(tmp_path, None, of)
    ids, counted = chat.encode_messages(tokenizer, CONVERSATION[1:])
    assert ids.count(tokenizer.bos_id) == 1 and ids[0] == tokenizer.bos_id
    reference = transformers.AutoTokenizer.from_pretrained(of)
    assert ids == reference.apply_chat_template(CONVERSATION[1:], return_dict=False)
    learned = tokenizer.fast.decode(np.array(ids)[counted], skip_special_tokens=False)
    assert learned.split() == ["It", "is", "4.</s>", "6</s>"]


def test_a_conversation_without_an_end_token_gets_one(tmp_path):
    tokenizer = tokenizer_with(tmp_path, ENDLESS)
    ids, counted = chat.encode_messages(tokenizer, CONVERSATION)
    assert ids[-1] == tokenizer.eos_id and counted[-1]
    assert ids.count(tokenizer.eos_id) == 1
    # One whose last turn is the user's is not ended.
    ids, _ = chat.encode_messages(tokenizer, CONVERSATION[:4])
    assert tokenizer.eos_id not in ids


def test_all_counts_every_token_and_needs_no_turns(tmp_path):
    tokenizer = tokenizer_with(tmp_path, REWRITING)
    ids, counted = chat.encode_messages(tokenizer, CONVERSATION, "all")
    assert all(counted) and len(ids) == len(counted)
    with pytest.raises(
        ValueError, match="message 3: .* {% generation %}, or --loss_on"
    ):
        chat.encode_messages(tokenizer, CONVERSATION)


def test_no_template_and_a_refusal_are_said(tmp_path):
    with pytest.raises(ValueError, match="has no chat template .chat_template.jinja"):
        chat.check_template(tokenizer_with(tmp_path / "a", None))
    refusing = tokenizer_with(tmp_path / "b", REFUSING)
    with pytest.raises(ValueError, match="refuses it: roles must alternate"):
        chat.encode_messages(refusing, CONVERSATION)


def test_a_refused_conversation_is_named(tmp_path):
    tokenizer = tokenizer_with(tmp_path, REFUSING)
    encoder = examples.Encoder(tokenizer, 256, "messages", "completion")
    with pytest.raises(ValueError, match="begins 'Be brief.': the chat template refus"):
        encoder.encode([CONVERSATION])


def test_a_conversation_without_answers_is_left_out(tmp_path):
    tokenizer = tokenizer_with(tmp_path, PLAIN)
    encoder = examples.Encoder(tokenizer, 256, "messages", "completion")
    kept, tally = encoder.encode([CONVERSATION, CONVERSATION[:2]])
    assert len(kept) == 1 and tally["untrainable"] == 1


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("a text", "holds 'a text', expected a list of messages"),
        ([], "holds .., expected a list of messages"),
        (
            [{"from": "human", "value": "hi"}],
            "message 1: role is None .found from, val",
        ),
        ([{"role": "user", "content": 3}], "message 1: content is 3 "),
        ([{"role": "user", "content": None}], "message 1: content is None "),
    ],
)
def test_what_is_no_conversation_is_named(value, message):
    with pytest.raises(ValueError, match=message):
        chat.check_messages(value)
