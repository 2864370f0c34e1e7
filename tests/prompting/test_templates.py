import dataclasses
import re
from pathlib import Path

import pytest

from llm_icl.config.specs import parse_specs
from llm_icl.errors import RequestError
from llm_icl.prompting import load_prompt, prompt_names, render
from llm_icl.prompting.templates import read_prompt
from llm_icl.tasks.cards import load_task
from llm_icl.tasks.drawing import draw_problems


def prompt(text: str):
    return load_prompt(parse_specs([text])[0])


@pytest.fixture
def problems():
    return draw_problems(load_task(parse_specs(["conjunction"])[0]), 3, 6, 2, 0)


def test_the_basic_prompt_is_the_papers_letter_for_letter(problems):
    xs = [" ".join(map(str, bits)) for bits in problems.xs[0].tolist()]
    ys = problems.ys[0].tolist()
    assert render(prompt("basic"), problems, 0, 2).text == (
        "You are given some examples of inputs and their corresponding labels. You need to learn the underlying "
        "boolean function represented by these input-label examples. Predict the label (either 0 or 1) for the final "
        "input.\n"
        f"\nInput: {xs[0]}\nLabel: {ys[0]}\nInput: {xs[1]}\nLabel: {ys[1]}\nInput: {xs[2]}\nLabel:"
    )


def test_a_completion_model_gets_the_preamble_and_a_chat_model_the_system_message(problems):
    rendered = render(prompt("basic"), problems, 0, 1)
    assert rendered.completion() == "You are a learning algorithm. " + rendered.text
    system, user = rendered.messages()
    assert (system.role, user.role, user.content) == ("system", "user", rendered.text)
    assert system.content.startswith("You are BoolGPT")


def test_each_example_of_chat_turns_is_a_turn(problems):
    roles = [message.role for message in render(prompt("chat-turns"), problems, 0, 3).messages()]
    assert roles == ["system", "user", "assistant", "user", "assistant", "user", "assistant", "user"]
    with pytest.raises(RequestError, match="use a chat model"):
        render(prompt("chat-turns"), problems, 0, 3).completion()


def test_a_text_before_the_first_turn_is_refused(problems, tmp_path):
    (tmp_path / "mine.jinja").write_text("Learn this.\n[[user]]\n{{ query }}\n")
    with pytest.raises(RequestError, match=r"prompt 'mine': 'Learn this\.' stands before the first turn"):
        render(load_prompt(parse_specs(["mine"])[0], tmp_path), problems, 0, 3).messages()


def test_a_prompt_with_turns_has_them_at_every_position(problems, tmp_path):
    (tmp_path / "mine.jinja").write_text(
        "{% for example in examples %}\n[[user]]\n{{ example.input }}\n[[assistant]]\n{{ example.label }}\n"
        "{% endfor %}\n{% if examples %}\n[[user]]\n{% endif %}\n{{ query }}\n"
    )
    mine = load_prompt(parse_specs(["mine"])[0], tmp_path)
    assert [render(mine, problems, 0, position).has_turns for position in (0, 1)] == [True, True]


@pytest.mark.parametrize(
    ("style", "written"),
    [("spaced", "0 1 1"), ("compact", "011"), ("words", "false true true"), ("list", "[0, 1, 1]")],
)
def test_inputs_are_written_in_the_style_that_was_asked_for(style, written):
    assert prompt(f"basic:inputs={style}").write_input([0, 1, 1]) == written


def test_labels_other_than_0_and_1_appear_everywhere(problems):
    text = render(prompt("basic:labels=no/yes"), problems, 0, 5).text
    assert "either no or yes" in text
    assert set(re.findall(r"Label: (\w+)", text)) <= {"no", "yes"}


def test_a_prompt_shows_only_earlier_labels(problems):
    shown, ys = problems.shown.copy(), 1 - problems.ys
    shown[:, 4:] ^= 1
    changed = dataclasses.replace(problems, shown=shown, ys=ys)
    for name in prompt_names():
        assert render(prompt(name), problems, 0, 4) == render(prompt(name), changed, 0, 4)


@pytest.mark.parametrize(
    ("reply", "label"),
    [(" 1", 1), ("0\n", 0), ("1", 1), ("10", None), ("", None), ("The label is 1", None), ("2", None), (" 1 0", None)],
)
def test_the_whole_reply_must_be_the_label(reply, label):
    assert prompt("basic").parse(reply) == label


@pytest.mark.parametrize(
    ("reply", "label"),
    [
        ("Start with 10 literals, drop 3.\nThe label is\n1", 1),
        ("It is **0**.", None),
        ("So the answer: 10", None),
        ("The answer is not 1", None),
        ("either 0 or 1", None),
        ("Input: 0 1 1 0", None),
        ("p = 0.1", None),
        ("so:\n**1**", 1),
        ("so:\n0.\n", 0),
        ("I cannot say", None),
        ("x1 and x0", None),
        ("1", 1),
    ],
)
def test_a_reasoned_reply_must_end_with_the_label(reply, label):
    assert prompt("pac-step-by-step").parse(reply) == label


def own(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.jinja"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("---\nstop: yes\n---\n{{ query }}", r"mine.jinja, line 2: 'stop' must be a list"),
        ("---\ncolour: red\n---\n", r"mine.jinja, line 2: unknown field 'colour'"),
        ("---\na: [\n---\n", r"mine.jinja, line \d: not valid YAML"),
        ("---\nstop: [x]\n---\nInput\n{{ quary }}", r"mine.jinja, line 5: 'quary' is undefined"),
        ("{% for x in examples %}", r"mine.jinja, line 1: "),
        ("{{ query }}\n{{ [1, 2] | random }}", r"mine.jinja, line 2: No filter named 'random'"),
        ("{{ query }}\n{% if n > 4 %}\n{{ typo }}{% endif %}", r"mine.jinja, line 3: 'typo' is undefined"),
        ("{{ query }}{{ 1 / 0 }}", r"mine.jinja, line 1: division by zero"),
        ("{{ query }}{% include 'x' %}", r"mine.jinja, line 1: "),
        ("---\nstop: [x]\n{{ query }}", r"the front matter is not closed"),
        ("Label:", r"must contain \{\{ query \}\}"),
        ("---\nanswer: 'label'\n---\n", r"must contain \{label\}"),
        ("---\nanswer: '({label}'\n---\n", r"not a regular expression"),
        ("{{ query }}{{ ''.__class__.__mro__ }}", r"unsafe|access"),
    ],
)
def test_a_template_that_cannot_be_used_is_named_with_its_line(tmp_path, text, message):
    with pytest.raises(RequestError, match=message):
        read_prompt(own(tmp_path, text), "mine")


def test_a_prompt_that_tells_the_algorithm_needs_a_task_that_has_one():
    from llm_icl.prompting.rendering import check_task

    with pytest.raises(RequestError, match="algorithm"):
        check_task(prompt("pac"), load_task(parse_specs(["majority"])[0]))
    check_task(prompt("pac"), load_task(parse_specs(["conjunction"])[0]))
