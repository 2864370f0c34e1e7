"""Chat formats in the styles of the known families: labels are read where the format puts them, or it is refused."""

import json
import time
from datetime import UTC, datetime

import numpy as np
import pytest
from scipy.special import logit
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from llm_icl.asking.plan import plan_for
from llm_icl.backends import backends, find_model
from llm_icl.backends.chat import ChatFormat, TemplateError, chat_of, undated, writes_today
from llm_icl.config.specs import parse_specs
from llm_icl.errors import RequestError
from llm_icl.prompting import limited, load_prompt, render
from llm_icl.prompting.rendering import Message
from llm_icl.tasks.cards import load_task
from llm_icl.tasks.drawing import draw_problems
from tests.asking.ask import ask
from tests.backends.chat_templates import CHATML, FAMILIES, GEMMA, R1, REFUSED, THINKING_ONLY
from tests.backends.making import byte_level, framed, label_log_odds, save
from tests.inside import run_inside

# Largest difference of log-odds between two ways of computing them in float32.
TOLERANCE = 1e-3


@pytest.fixture
def problems():
    return draw_problems(load_task(parse_specs(["majority"])[0]), 3, 4, 1, 0)


def load(folder, options=""):
    entry = find_model(f"{folder}{options}")
    return backends.get(entry.backend)(entry)


def prompt_of(name):
    return load_prompt(parse_specs([name])[0])


def turns_of(prompt, problems, position):
    """What a prompt says, from its parts: one user turn, or turns of examples."""
    if prompt.name != "chat-turns":
        return [("system", prompt.system), ("user", render(prompt, problems, 0, position).text)]
    inputs = [prompt.write_input(bits) for bits in problems.xs[0].tolist()]
    turns = [("system", prompt.system)]
    for x, label in zip(inputs[:position], problems.shown[0].tolist(), strict=False):
        turns += [("user", x), ("assistant", str(label))]
    return [*turns, ("user", inputs[position])]


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("name", FAMILIES)
def test_labels_are_read_where_the_format_puts_them(name, begun, problems, tmp_path):
    family = FAMILIES[name]
    made = framed(byte_level(), "<s> $A") if begun else byte_level()
    folder = save(tmp_path / "model", made, family.template)
    made = Tokenizer.from_file(str(folder / "tokenizer.json"))

    def encode(text):  # a text that begins by itself is not begun again
        return made.encode(text, add_special_tokens=not text.startswith("<s>")).ids

    for prompt, options in (("chat-turns", ""), ("basic", ":chat=true")):
        model, loaded = load(folder, options), prompt_of(prompt)
        texts = [family.write(turns_of(loaded, problems, k)) for k in range(problems.points)]
        assert [model.as_text(render(loaded, problems, 0, k)) for k in range(problems.points)] == texts
        truth = label_log_odds(folder, texts, (family.gap + "0", family.gap + "1"), encode)
        assert np.std(truth) > 0.1
        plan = plan_for(model, loaded, problems, range(problems.points))
        assert plan.mode == ("curve" if family.curve and prompt == "chat-turns" else "positions")
        assert plan.reasons[int(plan.mode == "positions") :] == family.remarks
        for mode in {"positions", plan.mode}:
            found = ask(model, prompt, problems, tmp_path / prompt, mode).answers.probability
            np.testing.assert_allclose(logit(found[0]), truth, atol=TOLERANCE)


@pytest.mark.parametrize("name", REFUSED)
def test_a_template_that_cannot_write_a_prompt_is_one_clear_line(name, problems, tmp_path):
    template, reason = REFUSED[name]
    folder = save(tmp_path / "model", byte_level(), template)
    with pytest.raises(RequestError, match=reason) as raised:
        plan_for(load(folder), prompt_of("chat-turns"), problems, range(4))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("template", "opening"), [(R1, "<|Assistant|>"), (THINKING_ONLY, "<|im_start|>assistant\n")])
def test_where_an_answer_begins_with_thoughts_the_model_writes(template, opening, problems, tmp_path):
    model = load(save(tmp_path / "model", byte_level(), template), ":chat=true")
    for prompt in ("chat-turns", "basic"):
        plan = plan_for(model, prompt_of(prompt), problems, range(4))
        assert plan.mode == "generate"
        assert "begins an answer with '<think>\\n': the label does not come next" in plan.reasons[1]
        assert plan.calls[0].text.endswith(f"{opening}<think>\n")


def test_turns_of_one_role_in_a_row_are_merged_where_the_template_wants_it(problems, tmp_path):
    path = tmp_path / "mine.jinja"
    path.write_text("[[user]]\nLearn.\n[[user]]\nx: {{ query }}\n")
    prompt = load_prompt(parse_specs(["mine"])[0], tmp_path)
    rendered = render(prompt, problems, 0, 0)
    merging = load(save(tmp_path / "gemma", byte_level(), GEMMA))
    x = prompt.write_input(problems.xs[0, 0].tolist())
    assert f"user\nLearn.\n\nx: {x}<end_of_turn>" in merging.as_text(rendered)
    assert merging.remarks(rendered) == ("the chat template takes no two turns of one role in a row: they are merged",)
    apart = load(save(tmp_path / "chatml", byte_level(), CHATML))
    assert f"user\nLearn.<|im_end|>\n<|im_start|>user\nx: {x}" in apart.as_text(rendered)
    assert apart.remarks(rendered) == ()


def test_the_default_one_of_several_templates_is_used(problems, tmp_path):
    several = {"tool_use": "{{ tools[0] }}", "default": CHATML}
    model = load(save(tmp_path / "several", byte_level(), several))
    alone = load(save(tmp_path / "alone", byte_level(), CHATML))
    rendered = render(prompt_of("chat-turns"), problems, 0, 2)
    assert model.as_text(rendered) == alone.as_text(rendered)
    none = load(save(tmp_path / "none", byte_level(), {"tool_use": "x", "rag": "y"}))
    with pytest.raises(RequestError, match="has chat templates for tool_use, rag, and no default one"):
        none.as_text(rendered)


def test_a_template_may_stand_in_a_file_or_in_the_configuration(problems, tmp_path):
    rendered = render(prompt_of("chat-turns"), problems, 0, 2)
    folder = save(tmp_path / "model", byte_level(), CHATML)
    beside = load(folder).as_text(rendered)
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(RequestError, match="has no chat template"):
        load(folder).as_text(rendered)
    with pytest.raises(RequestError, match="has no chat template"):
        load(folder, ":chat=true")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"chat_template": CHATML}))
    assert load(folder).as_text(rendered) == beside


def test_a_run_says_what_was_changed_for_the_template(tmp_path):
    save(tmp_path / "model", byte_level(), GEMMA)
    asked = "eval --model ./model --task majority --n 3 --points 4 --problems 2 --prompt chat-turns --out run"
    done = run_inside(*asked.split(), "--learner", "majority-label", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    said = "the chat template takes no system message: it opens the first user turn"
    assert {tuple(mode["because"]) for mode in record["modes"]} == {(said,)}
    assert said in (tmp_path / "run" / "report.md").read_text()


def test_a_run_that_a_template_refuses_ends_with_one_line(tmp_path):
    save(tmp_path / "model", byte_level(), REFUSED["earlier answers omitted"][0])
    asked = "eval --model ./model --task majority --n 3 --points 4 --problems 2 --prompt chat-turns --out run"
    done = run_inside(*asked.split(), cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].endswith("omits turn 3 of 4 (assistant)")


# Everything that a chat template of transformers may use beyond plain Jinja.
WIDE = (
    "{% macro said(turn) %}<{{ turn.role }}>{{ turn['content'] | trim }}{% endmacro %}{% set seen = namespace(n=0) %}\n"
    "    {% for turn in messages %}\n{% if turn.content == 'skip' %}{% continue %}{% endif %}{{ said(turn) }}"
    "{% set kept = 'outer' %}{% generation %}{% set kept = turn.content %}{{ kept }}{{ loop.index }}{% endgeneration %}"
    "{{ kept }}{% set seen.n = seen.n + 1 %}{% if seen.n == 3 %}{% break %}{% endif %}{% endfor %}\n"
    "{{ {'a': '<é>', 'b': [1, none]} | tojson }}{{ messages[0] | tojson(indent=2) }}{{ dict(a=1) }}{{ missing }}"
    "{{ bos_token }}{{ tools is none }}{{ documents is defined }}{{ add_generation_prompt }}{{ messages | length }}"
)


@pytest.mark.parametrize("name", [*FAMILIES, "wide"])
def test_a_template_writes_here_what_it_writes_in_transformers(name, tmp_path):
    template = FAMILIES[name].template if name in FAMILIES else WIDE
    template, _ = undated(template)
    tokenizer = AutoTokenizer.from_pretrained(save(tmp_path / "model", byte_level(), template))
    chat = chat_of(tokenizer, "mine")
    for contents in (["A"], ["A", "skip", " 1 "], ["<b>", "0", "é", "skip", "{{ x }}"]):
        turns = [Message("user" if i % 2 == 0 else "assistant", content) for i, content in enumerate(contents)]
        given = [{"role": turn.role, "content": turn.content} for turn in turns]
        for opened in (True, False):
            expected = tokenizer.apply_chat_template(given, tokenize=False, add_generation_prompt=opened)
            assert chat._render(turns, opened) == expected


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "it takes more than 0.5 s"),
        ("{{ 'a' * 10**10 }}", "of memory"),
        ("{% for a in range(9999) %}{{ 'a' * 9999 }}{% endfor %}", "it writes more than 5,000,000 characters"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "nested too deeply"),
        ("{{ messages.__class__.__mro__ }}", "unsafe"),
        ("{{ messages.append(1) }}", "unsafe"),
    ],
)
def test_a_template_of_a_folder_is_within_bounds(template, said, tmp_path, monkeypatch):
    if "0.5 s" in said:
        monkeypatch.setattr(limited, "SECONDS", 0.5)
    tokenizer = AutoTokenizer.from_pretrained(save(tmp_path / "model", byte_level(), CHATML + template))
    chat, start = chat_of(tokenizer, "mine"), time.monotonic()
    with pytest.raises(RequestError) as problem:
        chat.text([Message("system", "s"), Message("user", "u")])
    assert said in str(problem.value)
    assert "the chat template of 'mine'" in str(problem.value)
    assert time.monotonic() - start < 30


def test_only_the_date_of_a_template_is_fixed():
    template = "{{ strftime_now( \"%Y\" ) ~ strftime_now('%d %B') }}{% if strftime_now is defined %}x{% endif %}"
    fixed = '{{ "2024" ~ "26 July" }}{% if strftime_now is defined %}x{% endif %}'
    assert undated(template) == (fixed, True)
    assert undated(CHATML) == (CHATML, False)


def test_todays_date_is_found_in_a_text():
    today = datetime.now(UTC)
    assert writes_today(f"Cutting Knowledge Date: December 2023\nToday Date: {today:%d %b %Y}\n")
    assert writes_today(f"Current date: {today:%Y-%m-%d}.")
    assert not writes_today("Today Date: 26 Jul 2024, 1 0 1 1")


def test_a_format_is_the_same_at_every_position_of_a_prompt():
    """What a template takes is found out once, not prompt by prompt."""

    def fickle(turns, opened):  # refuses a system message before more than two turns
        if turns[0].role == "system" and len(turns) > 2:
            raise TemplateError("no system message here")
        return "".join(f"<{turn.role}>{turn.content}" for turn in turns) + "<assistant>" * opened

    chat = ChatFormat("fickle", fickle)
    turns = [Message("system", "Answer."), Message("user", "x"), Message("assistant", "1"), Message("user", "y")]
    assert chat.text(turns[:2]) == "<system>Answer.<user>x<assistant>"
    with pytest.raises(RequestError, match="no system message here"):
        chat.text(turns)
