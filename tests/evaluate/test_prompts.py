"""Prompts, compared with EvalPlus's own on transformers' tokenizers."""

import inspect
import json
import pathlib

import byte_tokenizers
import evalplus.codegen
import evalplus.provider
import pytest
import transformers
from evalplus.provider import utility

from jaxent.data import tokens
from jaxent.evaluate import benchmarks, prompts

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' "
    "+ message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
)
WITH_BOS = "{{ bos_token }}" + CHATML
TRIMMED = CHATML.replace("message['content']", "message['content'] | trim")
QUESTION_ONLY = CHATML.replace("for message in messages", "for message in messages[:1]")
REFUSES = "{{ raise_exception('Only user messages') }}"
PROBLEM = benchmarks.Problem(
    "A/0", 'def one():\n    """Gives 1."""\n', "one", "    return 1\n"
)


def opened(folder: pathlib.Path) -> prompts.Prompts:
    tokenizer = tokens.load_tokenizer(folder)
    template = prompts.find_template(tokenizer, folder)
    return prompts.Prompts(benchmarks.HUMANEVAL, tokenizer, template)


def theirs(folder: pathlib.Path):
    return transformers.AutoTokenizer.from_pretrained(folder)


def their_text(folder: pathlib.Path) -> str:
    return utility.make_raw_chat_prompt(
        PROBLEM.prompt, prompts.INSTRUCTION, prompts.RESPONSE, theirs(folder)
    )


def test_the_words_are_evalplus_s():
    source = inspect.getsource(evalplus.codegen.run_codegen)
    assert f'instruction_prefix = "{prompts.INSTRUCTION}"' in source
    assert f'response_prefix = "{prompts.RESPONSE}"' in source
    decoder = pathlib.Path(evalplus.provider.__file__).with_name("hf.py").read_text()
    assert r'self.eos += ["\n```\n"]' in decoder
    asked = prompts.Prompts(benchmarks.MBPP, None, CHATML)
    assert asked.stops == (*utility.EOS, "\n```\n")
    assert prompts.Prompts(benchmarks.MBPP, None).stops == benchmarks.MBPP.stops


@pytest.mark.parametrize("template", [CHATML, WITH_BOS, TRIMMED])
@pytest.mark.parametrize("as_file", [False, True])
def test_a_chat_s_text_is_evalplus_s(tmp_path, template, as_file):
    if as_file:  # which wins over the configuration, as in transformers
        byte_tokenizers.write(tmp_path, chat_template="another")
        (tmp_path / "chat_template.jinja").write_text(template)
    else:
        byte_tokenizers.write(tmp_path, chat_template=template)
    text = opened(tmp_path).write(PROBLEM)
    assert text == their_text(tmp_path)
    assert text.endswith("passes corresponding tests:\n```python\n")
    assert f"```\n{PROBLEM.prompt.strip()}\n```" in text


def test_of_several_templates_the_default_is_taken(tmp_path):
    named = [
        {"name": "tool_use", "template": "another"},
        {"name": "default", "template": CHATML},
    ]
    byte_tokenizers.write(tmp_path, chat_template=named)
    assert opened(tmp_path).write(PROBLEM) == their_text(tmp_path)


def test_ids_are_those_that_evalplus_s_decoder_reads(tmp_path):
    byte_tokenizers.write(tmp_path, chat_template=CHATML)
    expected = theirs(tmp_path).encode(their_text(tmp_path))
    assert opened(tmp_path).encode(PROBLEM) == expected


def test_two_bos_become_one(tmp_path):
    """The template writes one and the tokenizer adds one: EvalPlus gives both."""
    byte_tokenizers.write(tmp_path, adds="<s> $A", chat_template=WITH_BOS)
    doubled = theirs(tmp_path).encode(their_text(tmp_path))
    bos = tokens.load_tokenizer(tmp_path).bos_id
    assert doubled[:2] == [bos, bos]
    assert opened(tmp_path).encode(PROBLEM) == doubled[1:]


def test_a_bos_that_the_tokenizer_alone_adds_stays(tmp_path):
    byte_tokenizers.write(tmp_path, adds="<s> $A", chat_template=CHATML)
    expected = theirs(tmp_path).encode(their_text(tmp_path))
    assert opened(tmp_path).encode(PROBLEM) == expected


def test_no_end_of_text_ends_a_prompt(tmp_path):
    """Some tokenizers add one to every text: behind it no model goes on coding."""
    byte_tokenizers.write(tmp_path, adds="<s> $A </s>")
    tokenizer = tokens.load_tokenizer(tmp_path)
    asked = prompts.Prompts(benchmarks.HUMANEVAL, tokenizer)
    [whole] = tokenizer.encode([PROBLEM.prompt])
    assert whole[-1] == tokenizer.eos_id
    assert asked.encode(PROBLEM) == whole[:-1]


@pytest.mark.parametrize(
    "name",
    ["qwen2.5-coder", "mistral-7b-v0.3", "deepseek-coder", "codellama-7b-python"],
)
def test_raw_prompts_are_the_tokenizer_s_own(shared, name):
    tokenizer = tokens.load_tokenizer(shared / "tokenizers" / name)
    asked = prompts.Prompts(benchmarks.HUMANEVAL, tokenizer)
    problems = benchmarks.load_problems(benchmarks.EMBEDDED).items
    expected = tokenizer.encode(problem.prompt for problem in problems)
    assert [asked.encode(problem) for problem in problems] == expected


def test_in_a_chat_the_solution_follows_the_answer_s_prompt(tmp_path):
    byte_tokenizers.write(tmp_path, chat_template=CHATML)
    asked = opened(tmp_path)
    before = asked.write_before_solution(PROBLEM)
    assert before == asked.write(PROBLEM) + PROBLEM.prompt
    raw = prompts.Prompts(benchmarks.HUMANEVAL, asked.tokenizer)
    assert raw.write_before_solution(PROBLEM) == PROBLEM.prompt


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (None, "has no chat template, expected chat_template.jinja or"),
        ([{"name": "rag", "template": CHATML}], "has no chat template"),
        (REFUSES, "the chat template fails on a question and an answer .Only user"),
        ("{{ broken", "the chat template fails"),
        (QUESTION_ONLY, "ends EvalPlus's prompt with .*expected '```python"),
    ],
)
def test_what_cannot_be_asked_in_a_chat_is_one_line(tmp_path, template, message):
    settings = {} if template is None else {"chat_template": template}
    byte_tokenizers.write(tmp_path, **settings)
    with pytest.raises(ValueError, match=message) as error:
        opened(tmp_path).write(PROBLEM)
    assert str(error.value).startswith("--prompt_format=chat: ")
    assert "\n" not in str(error.value)


@pytest.mark.real
def test_smollm2_is_asked_as_evalplus_asks_it(smollm2):
    asked = opened(smollm2)
    assert asked.write(PROBLEM) == their_text(smollm2)
    expected = theirs(smollm2).encode(their_text(smollm2))
    assert asked.encode(PROBLEM) == expected
    about = json.loads((smollm2 / "tokenizer_config.json").read_text())
    assert asked.template == about["chat_template"]
