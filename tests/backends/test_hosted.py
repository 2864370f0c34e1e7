"""What goes to OpenAI and Anthropic, field by field, and what is read from their answers: real SDKs, a local server."""

import asyncio
import dataclasses
import json
import re
from collections import defaultdict
from itertools import chain, count, pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from llm_icl.backends import backends, find_model, model_names
from llm_icl.backends.remote import TransientError
from llm_icl.errors import RequestError
from llm_icl.function_classes import draw_problems
from llm_icl.learners.llm import carry_out
from llm_icl.learners.planning import Planned, plan_for
from llm_icl.naming import parse_specs
from llm_icl.problems import STATUSES, Problems, Task
from llm_icl.prompting import load_prompt, prompt_names, render
from llm_icl.prompting.templates import read_prompt
from llm_icl.runs import CallCache
from llm_icl.runs.budget import Budget
from llm_icl.runs.sending import Sender
from llm_icl.task_cards import load_task
from tests.servers import provider as servers
from tests.servers.provider import Provider, probability

CATALOGUE = Path(__file__).parents[2] / "llm_icl" / "backends" / "catalogue.yaml"
KEYS = {
    "OPENAI_API_KEY": "sk-the-key-of-openai",
    "ANTHROPIC_API_KEY": "sk-the-key-of-anthropic",
    "LLM_ICL_API_KEY": "sk-the-key-of-my-server",
    "MY_OTHER_ACCOUNT": "sk-the-key-of-another-account",
}
CHAT, RESPONSES, COMPLETIONS, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/completions", "/v1/messages"

TEMPLATE = """---
system: One label, sí?
preamble: "Learn. "
stop: ["Input", "\\n"]
max-tokens: 2
---
Labels {{ labels[0] }} or {{ labels[1] }}:
{% for example in examples %}
Input: {{ example.input }}
Label: {{ example.label }}
{% endfor %}
Input: {{ query }}
Label:
"""
SYSTEM = "One label, sí?"
# The two prompts of the two points of TWO in this template, by hand.
TEXTS = [
    "Labels 0 or 1:\nInput: 0 1 1\nLabel:",
    "Labels 0 or 1:\nInput: 0 1 1\nLabel: 1\nInput: 1 0 0\nLabel:",
]


def problems_of(xs, ys):
    xs, ys = np.array(xs, dtype=np.uint8), np.array(ys, dtype=np.uint8)
    some = np.zeros(len(xs), dtype=np.int64)
    return Problems(Task("mine", "majority"), xs.shape[-1], 0, xs, ys, ys, some, np.arange(len(xs)), {})


TWO = problems_of([[[0, 1, 1], [1, 0, 0]]], [[1, 0]])


@pytest.fixture
def provider(monkeypatch):
    server = Provider()
    for name in ("OPENAI_CUSTOM_HEADERS", "ANTHROPIC_CUSTOM_HEADERS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
    yield server
    server.die()


@pytest.fixture
def written(tmp_path):
    """A prompt from a template's text."""

    def write(template=TEMPLATE):
        path = tmp_path / "mine.jinja"
        path.write_text(template)
        return read_prompt(path, "mine")

    return write


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    opened = CallCache(tmp_path_factory.mktemp("hosted") / "calls.sqlite")
    yield opened
    opened.close()


NUMBERS = count()


@pytest.fixture
def ask(provider, cache, written):
    """Problems asked as an evaluation does it, one call after the other, and none of them answered from the cache."""

    def do(model, prompt=None, problems=TWO, mode="auto", repeats=1, positions=None):
        model = model_of(model) if isinstance(model, str) else model
        prompt = prompt or written()
        positions = range(problems.points) if positions is None else positions
        plan = plan_for(model, prompt, problems, positions, mode, repeats)
        account = f"run {next(NUMBERS)}"
        sender = Sender(model, cache, account, Budget(), at_once=1)
        provider.received.clear()
        try:
            carried = carry_out(plan, {"account": account}, prompt, problems, positions, cache, sender)
        finally:
            sender.close()
        statuses = [[STATUSES[code] for code in row] for row in carried.answers.status]
        cost, calls = cache.spent(account)
        assert calls == len(provider.received)
        return SimpleNamespace(
            model=model, plan=plan, answers=carried.answers, statuses=statuses, cost=cost,
            received=list(provider.received), bodies=[received.body for received in provider.received],
            replies=[exchange["reply"] for exchange in carried.exchanges],
        )  # fmt: skip

    return do


def model_of(name, base_url=""):
    entry = find_model(name, base_url)
    return backends.get(entry.backend).load(entry, Path())


def bodies_of(model, prompt, mode, repeats=1):
    """What would be sent."""
    return [model.body(call) for call in plan_for(model, prompt, TWO, range(2), mode, repeats).calls]


def answering(monkeypatch, change):
    """From now on the server's answers are what `change` makes of a body and the usual answer to it."""
    usual = servers.answer
    monkeypatch.setattr(servers, "answer", lambda path, body, fault="": change(body, usual(path, body, fault)))


def assert_same(found, expected):
    """Equal JSON data: 0 is 0.0 there, but true is not 1."""

    def canonical(data):
        return json.dumps(json.loads(json.dumps(data), parse_int=float), indent=1, sort_keys=True)

    assert canonical(found) == canonical(expected)


def turns(text):
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}]


LABEL = {
    "type": "json_schema",
    "schema": {
        "type": "object",
        "properties": {"label": {"type": "string", "enum": ["0", "1"]}},
        "required": ["label"],
        "additionalProperties": False,
    },
}


def claude(text, **fields):
    return {"system": SYSTEM, "messages": [{"role": "user", "content": text}], **fields}


# For each family of the catalogue and each mode: where the request goes, and all that is in it beside the prompt.
WIRE = {
    ("gpt-4.1", "top"): (CHAT, lambda text: {
        "model": "gpt-4.1", "messages": turns(text), "max_completion_tokens": 2, "temperature": 0,
        "stop": ["Input", "\n"], "logprobs": True, "top_logprobs": 20,
    }),
    ("gpt-4.1", "generate"): (CHAT, lambda text: {
        "model": "gpt-4.1", "messages": turns(text), "max_completion_tokens": 2, "temperature": 0,
        "stop": ["Input", "\n"],
    }),
    ("gpt-5.5", "top"): (CHAT, lambda text: {
        "model": "gpt-5.5", "messages": turns(text), "max_completion_tokens": 2, "temperature": 0,
        "reasoning_effort": "none", "logprobs": True, "top_logprobs": 20,
    }),
    ("gpt-5.5", "generate"): (CHAT, lambda text: {
        "model": "gpt-5.5", "messages": turns(text), "max_completion_tokens": 2, "temperature": 0,
        "reasoning_effort": "none",
    }),
    ("gpt-5.5:effort=high", "generate"): (RESPONSES, lambda text: {
        "model": "gpt-5.5", "input": turns(text), "max_output_tokens": 4002, "reasoning": {"effort": "high"},
        "store": False,
    }),
    ("gpt-6-astra", "generate"): (RESPONSES, lambda text: {
        "model": "gpt-6-astra", "input": turns(text), "max_output_tokens": 4002, "reasoning": {"effort": "low"},
        "store": False,
    }),
    ("claude-opus-4.5", "generate"): (MESSAGES, lambda text: claude(
        text, model="claude-opus-4-5-20251101", max_tokens=32, output_config={"format": LABEL},
    )),
    ("claude-opus-5", "generate"): (MESSAGES, lambda text: claude(
        text, model="claude-opus-5", max_tokens=32, thinking={"type": "disabled"}, output_config={"format": LABEL},
    )),
    ("claude-sonnet-5.5", "generate"): (MESSAGES, lambda text: claude(
        text, model="claude-sonnet-5-5", max_tokens=32, thinking={"type": "between_tools"},
        output_config={"format": LABEL},
    )),
    ("claude-opus-5.5", "generate"): (MESSAGES, lambda text: claude(
        text, model="claude-opus-5-5", max_tokens=4032, output_config={"effort": "low", "format": LABEL},
    )),
}  # fmt: skip


NAMES = list(dict.fromkeys(name for name, _ in WIRE))


@pytest.mark.parametrize(("name", "mode"), WIRE)
def test_a_request_is_this_and_nothing_else(ask, name, mode):
    path, expected = WIRE[name, mode]
    asked = ask(name, mode=mode)
    assert [received.path for received in asked.received] == [path, path]
    assert_same(asked.bodies, [expected(text) for text in TEXTS])


def families():
    """The hosted families of the catalogue, and the names of their models."""
    catalogue, found = yaml.safe_load(CATALOGUE.read_text()), defaultdict(list)
    for name, fields in catalogue["models"].items():
        family = fields.get("family")
        if catalogue["families"].get(family, fields).get("backend") in ("openai", "anthropic"):
            found[family].append(name)
    return found


def test_every_family_in_every_mode_is_among_them(provider):
    described = defaultdict(set)
    for name, mode in WIRE:
        described[name].add(mode)
    for name, modes in described.items():
        assert modes == set(model_of(name).modes)
    assert set(families()) == {"gpt-4", "gpt-5", "gpt-reasoning", "claude-4", "claude-5", "claude-thinking"}
    for names in families().values():
        assert set(names) & set(described)


@pytest.mark.parametrize("family", families())
def test_every_model_of_a_family_is_asked_like_the_one_of_it_that_is_described(provider, written, family):
    names = families()[family]
    described = next(name for name in NAMES if name in names)
    for name in names:
        model = model_of(name)
        for mode in model.modes:
            _, expected = WIRE[name if name in NAMES else described, mode]
            body = bodies_of(model, written(), mode)[0]
            assert_same(body, expected(TEXTS[0]) | {"model": find_model(name).identifier})


# What the providers answer with 400 (shared/reference/FACTS.md, sections 1 and 2), not taken from the catalogue.
ALWAYS_REASONS = r"o\d|gpt-5$|gpt-5-|gpt-6-astra|gpt-6\.1"
CHOOSES_TO_REASON = r"gpt-5\.\d|gpt-6-(sol|luna)"


def refused(body):
    """The parameters of a body that its model does not take."""
    model = body["model"]
    if model.startswith("claude"):
        return {"temperature", "top_p", "top_k", "logprobs", "top_logprobs", "stop", "seed"} & set(body)
    wrong = {"max_tokens"} & set(body)
    if re.match(ALWAYS_REASONS, model) or re.match(CHOOSES_TO_REASON, model):
        effort = body.get("reasoning_effort") or body.get("reasoning", {}).get("effort")
        sampling = set() if re.match(CHOOSES_TO_REASON, model) and effort == "none" else {"temperature", "top_p"}
        wrong |= ({"stop", *sampling} | ({"logprobs", "top_logprobs"} if sampling else set())) & set(body)
    else:
        assert model.startswith("gpt-4")
        wrong |= {"reasoning_effort", "reasoning"} & set(body)
    return wrong


HOSTED = [name for name, entry in model_names().items() if entry.backend in ("openai", "anthropic")]


@pytest.mark.parametrize("options", ["", ":effort=none", ":effort=low", ":effort=high"])
def test_no_model_is_sent_what_it_refuses(provider, written, options):
    never_disabled = ("claude-haiku-5-5", "claude-opus-5-5", "claude-fable-5-1", "claude-sonnet-5-5")
    for name in HOSTED:
        effort = options.removeprefix(":effort=")
        if effort and "effort" not in model_names()[name].accepted(effort):
            with pytest.raises(RequestError, match="takes no reasoning effort"):
                model_of(name + options)
            continue
        model = model_of(name + options)
        for mode in model.modes:
            for body in bodies_of(model, written(), mode, repeats=2 if mode == "generate" else 1):
                assert not refused(body), (name, options, mode)
                thinking = body.get("thinking", {}).get("type")
                assert (thinking == "between_tools") == (body["model"] == "claude-sonnet-5-5")
                assert thinking != "disabled" or body["model"] not in never_disabled


@pytest.mark.parametrize("name", ["gpt-4.1", "gpt-5.5:effort=high", "openai/x:api=completions"])
def test_openai_is_told_its_own_key(ask, name):
    for received in ask(name).received:
        assert received.headers["Authorization"] == "Bearer sk-the-key-of-openai"
        assert received.headers["x-stainless-retry-count"] == "0"
        assert received.headers["Content-Type"] == "application/json"
        assert not others(received.headers, "OPENAI_API_KEY")


def test_anthropic_is_told_its_own_key_and_the_version(ask):
    for received in ask("claude-opus-5").received:
        # Versions of the SDK differ in where they put it.
        told = [received.headers.get("x-api-key"), received.headers.get("Authorization")]
        assert sorted(filter(None, told)) in (["sk-the-key-of-anthropic"], ["Bearer sk-the-key-of-anthropic"])
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", received.headers["anthropic-version"])
        assert received.headers["x-stainless-retry-count"] == "0"
        assert not others(received.headers, "ANTHROPIC_API_KEY")


def others(headers, own):
    """The keys in headers that are not the one that belongs there."""
    return [name for name, key in KEYS.items() if name != own and any(key in value for value in headers.values())]


@pytest.mark.parametrize(
    ("name", "path"), [("gpt-4.1", "/v1"), ("gpt-5.5:effort=high", "/v1"), ("claude-opus-5", ""), ("openai/x", "/v1")]
)
@pytest.mark.parametrize(
    ("option", "variable"), [("", "LLM_ICL_API_KEY"), ("key=MY_OTHER_ACCOUNT", "MY_OTHER_ACCOUNT")]
)
def test_a_server_of_ones_own_is_told_another_key(provider, ask, name, path, option, variable):
    named = f"{name}{',' if ':' in name else ':'}{option}" if option else name
    for received in ask(model_of(named, f"{provider.url}{path}")).received:
        sent = " ".join(received.headers.values())
        assert KEYS[variable] in sent
        assert not others(received.headers, variable)


@pytest.mark.parametrize(("name", "variable"), [("gpt-4.1", "OPENAI_API_KEY"), ("claude-opus-5", "ANTHROPIC_API_KEY")])
def test_the_key_stands_in_the_variable_that_is_named(ask, monkeypatch, name, variable):
    monkeypatch.delenv(variable)
    for received in ask(f"{name}:key=MY_OTHER_ACCOUNT").received:
        assert KEYS["MY_OTHER_ACCOUNT"] in " ".join(received.headers.values())
        assert not others(received.headers, "MY_OTHER_ACCOUNT")
    for options, missing in (("", variable), (":key=NOWHERE", "NOWHERE")):
        with pytest.raises(RequestError, match=f"environment variable {missing}"):
            model_of(f"{name}{options}").secret()


@pytest.mark.parametrize("name", ["gpt-4.1", "gpt-5.5:effort=high", "claude-opus-5"])
@pytest.mark.parametrize("fault", ["500", "429 0.01", "529", "garbage"])
def test_the_sdk_sends_nothing_again_by_itself(provider, written, name, fault):
    provider.fault = lambda body, before: fault
    model = model_of(name)
    question = plan_for(model, written(), TWO, [0]).calls[0]

    async def once():
        await model.open()
        try:
            await model.ask(question)
        finally:
            await model.aclose()

    with pytest.raises(TransientError):
        asyncio.run(once())
    assert len(provider.received) == 1


def test_a_server_of_another_maker_is_told_the_old_name_of_the_limit(provider, ask):
    asked = ask(model_of("openai/org/some-model", f"{provider.url}/v1"))
    assert asked.plan.mode == "top"
    assert_same(asked.bodies[1], {
        "model": "org/some-model", "messages": turns(TEXTS[1]), "max_tokens": 2, "temperature": 0,
        "stop": ["Input", "\n"], "logprobs": True, "top_logprobs": 20,
    })  # fmt: skip


OPTIONS = {
    "gpt-4.1:temperature=0.7": {"temperature": 0.7},
    "gpt-4.1:temperature=2,top=3": {"temperature": 2, "top_logprobs": 3},
    "gpt-4.1:top=0": {"logprobs": None, "top_logprobs": None},
    "gpt-5.5:temperature=0.7,top=1": {"temperature": 0.7, "top_logprobs": 1},
    "gpt-5.5:effort=low": {"reasoning": {"effort": "low"}},
    "gpt-6-astra:effort=max": {"reasoning": {"effort": "max"}},
    "claude-opus-5:effort=high": {"output_config": {"effort": "high", "format": LABEL}},
    "claude-opus-5.5:effort=max": {"output_config": {"effort": "max", "format": LABEL}},
    "claude-opus-5.5:constrained=true": {},
    "claude-opus-5.5:thinking=adaptive": {"thinking": {"type": "adaptive"}},
    "claude-opus-4.5:constrained=false": {"output_config": None, "stop_sequences": ["Input"], "max_tokens": 2},
    "claude-opus-5:constrained=false": {"output_config": None, "stop_sequences": ["Input"], "max_tokens": 2},
    "claude-opus-5.5:constrained=no": {
        "output_config": {"effort": "low"}, "stop_sequences": ["Input"], "max_tokens": 4002,
    },
}  # fmt: skip


@pytest.mark.parametrize("named", OPTIONS)
def test_an_option_changes_this_and_nothing_else(ask, named):
    asked = ask(named)
    plain = named.partition(":")[0] + (":effort=high" if named.startswith("gpt-5.5:effort") else "")
    _, expected = WIRE[next(key for key in WIRE if key[0] == plain)]
    changed = expected(TEXTS[0]) | OPTIONS[named]
    assert_same(asked.bodies[0], {key: value for key, value in changed.items() if value is not None})


def test_other_interfaces_than_the_usual_one(ask):
    assert_same(ask("gpt-4.1:api=responses").bodies[0], {
        "model": "gpt-4.1", "input": turns(TEXTS[0]), "max_output_tokens": 16, "temperature": 0, "store": False,
    })  # fmt: skip
    assert_same(ask("gpt-5.5:api=responses").bodies[0], {
        "model": "gpt-5.5", "input": turns(TEXTS[0]), "max_output_tokens": 16, "temperature": 0, "store": False,
        "reasoning": {"effort": "none"},
    })  # fmt: skip
    assert_same(ask("gpt-5.5:api=chat,effort=high").bodies[0], {
        "model": "gpt-5.5", "messages": turns(TEXTS[0]), "max_completion_tokens": 4002, "reasoning_effort": "high",
    })  # fmt: skip


@pytest.mark.parametrize(
    "named",
    [
        "gpt-4.1:temperature=-1", "gpt-4.1:temperature=hot", "gpt-4.1:temperature=true", "gpt-4.1:top=21",
        "gpt-4.1:top=-1", "gpt-4.1:top=2.5", "gpt-4.1:top=true", "gpt-4.1:api=chatty", "gpt-4.1:constrained=true",
        "gpt-4.1:colour=red", "gpt-4.1:thinking=adaptive", "claude-opus-5:temperature=0", "claude-opus-5:top=5",
        "claude-opus-5:constrained=maybe", "claude-opus-5:api=chat", "claude-opus-5:timeout=0", "gpt-4.1:timeout=x",
    ],
)  # fmt: skip
def test_an_option_that_makes_no_sense_is_refused(provider, named):
    with pytest.raises(RequestError, match=re.escape(named.partition(":")[2].partition("=")[0])):
        model_of(named)
    assert not provider.received


@pytest.mark.parametrize(
    ("name", "temperature"),
    [
        ("gpt-4.1", 1), ("gpt-4.1:temperature=0.3", 0.3), ("gpt-4.1:temperature=0", 0), ("gpt-5.5", 1),
        ("gpt-5.5:effort=high", None), ("gpt-6-astra", None), ("claude-opus-5", None),
        ("openai/x:api=completions", 1),
    ],
)  # fmt: skip
def test_repeats_are_sampled_at_temperature_1_unless_another_is_given(ask, name, temperature):
    asked = ask(name, repeats=3)
    assert asked.plan.mode == "generate"
    first, second = asked.bodies[0], asked.bodies[3]
    assert first != second
    assert asked.bodies == [first, second] * 3
    for body in asked.bodies:
        assert body.get("temperature") == temperature
        assert not {"logprobs", "n"} & set(body)
    assert asked.answers.agreement.tolist() == [[1.0, 1.0]]


REASONED = TEMPLATE.replace("stop:", "answer: '.*{label}'\nstop:").replace("max-tokens: 2", "max-tokens: 500")


@pytest.mark.parametrize(
    ("name", "limit"), [("claude-opus-4.5", 500), ("claude-opus-5", 500), ("claude-opus-5.5", 4500)]
)
def test_an_answer_that_is_more_than_the_label_is_not_held_to_a_schema(ask, written, name, limit):
    body = ask(name, written(REASONED)).bodies[0]
    assert "format" not in body.get("output_config", {})
    assert body["stop_sequences"] == ["Input"]
    assert body["max_tokens"] == limit


@pytest.mark.parametrize(("name", "limit"), [("gpt-4.1", 500), ("gpt-5.5", 500), ("gpt-6-astra", 4500)])
def test_an_answer_that_is_more_than_the_label_is_written(ask, written, name, limit):
    asked = ask(name, written(REASONED))
    assert asked.plan.mode == "generate"
    assert {asked.bodies[0].get(key) for key in ("max_completion_tokens", "max_output_tokens")} == {limit, None}


def test_openai_takes_four_stops_and_anthropic_none_that_is_blank(ask, written):
    many = written(TEMPLATE.replace('stop: ["Input", "\\n"]', 'stop: ["a", "\\n", "  ", "b", "c", "d"]'))
    assert ask("gpt-4.1", many).bodies[0]["stop"] == ["a", "\n", "  ", "b"]
    assert ask("claude-opus-5:constrained=false", many).bodies[0]["stop_sequences"] == ["a", "b", "c", "d"]
    blank = written(TEMPLATE.replace('stop: ["Input", "\\n"]', 'stop: ["\\n", " "]'))
    assert "stop_sequences" not in ask("claude-opus-5:constrained=false", blank).bodies[0]
    none = written(TEMPLATE.replace('stop: ["Input", "\\n"]\n', ""))
    assert "stop" not in ask("gpt-4.1", none).bodies[0]


def test_labels_of_ones_own_are_those_of_the_schema(ask, written):
    prompt = dataclasses.replace(written(), labels=("nein", "ja"))
    body = ask("claude-opus-5", prompt).bodies[1]
    assert body["output_config"]["format"]["schema"]["properties"]["label"]["enum"] == ["nein", "ja"]
    assert body["messages"][0]["content"] == TEXTS[1].replace("Label: 1", "Label: ja").replace("0 or 1", "nein or ja")


def test_without_a_system_message_none_is_sent(ask, written):
    bare = written(TEMPLATE.replace(f"system: {SYSTEM}\n", ""))
    body = ask("claude-opus-5", bare).bodies[0]
    assert "system" not in body
    assert body["messages"] == [{"role": "user", "content": TEXTS[0]}]
    for name, key in (("gpt-4.1", "messages"), ("gpt-6-astra", "input")):
        assert ask(name, bare).bodies[0][key] == [{"role": "user", "content": TEXTS[0]}]


# Completions: a text in, and where the server reports the tokens of the prompt, a whole curve out.

COMPLETED = "openai/davinci-002:api=completions"


def test_a_server_that_echoes_is_found_by_a_probe_and_asked_once_a_problem(provider, ask):
    model = model_of(COMPLETED)
    assert model.modes == ("echo", "top", "generate")
    assert [received.path for received in provider.received] == [COMPLETIONS]
    assert_same(provider.received[0].body, {
        "model": "davinci-002", "prompt": "a b", "max_tokens": 1, "logprobs": 1, "echo": True,
    })  # fmt: skip
    asked = ask(model)
    assert asked.plan.mode == "echo"
    assert [received.path for received in asked.received] == [COMPLETIONS]
    assert_same(asked.bodies, [{
        "model": "davinci-002", "prompt": f"Learn. {TEXTS[1]}", "max_tokens": 1, "temperature": 0, "logprobs": 5,
        "echo": True,
    }])  # fmt: skip


def test_completions_one_by_one(ask):
    model = model_of(COMPLETED + ",top=3,temperature=0.5")
    plain = [
        {"model": "davinci-002", "prompt": f"Learn. {text}", "max_tokens": 2, "temperature": 0.5,
         "stop": ["Input", "\n"]}
        for text in TEXTS
    ]  # fmt: skip
    assert_same(ask(model, mode="generate").bodies, plain)
    assert_same(ask(model, mode="top").bodies, [body | {"logprobs": 3} for body in plain])


def without_echo(body, usual):
    logprobs = usual["choices"][0]["logprobs"]
    for listed in logprobs.values():
        del listed[:-1]
    return usual


def without_tokens(body, usual):
    del usual["choices"][0]["logprobs"]["tokens"]
    return usual


def without_logprobs(body, usual):
    usual["choices"][0]["logprobs"] = None
    return usual


@pytest.mark.parametrize("change", [without_echo, without_tokens, without_logprobs])
def test_a_server_that_does_not_echo_is_asked_position_by_position(ask, monkeypatch, change):
    with monkeypatch.context() as patched:
        answering(patched, change)
        model = model_of(COMPLETED)
    assert model.modes == ("top", "generate")
    asked = ask(model)
    assert asked.plan.mode == "top"
    assert [body["prompt"] for body in asked.bodies] == [f"Learn. {text}" for text in TEXTS]
    assert not any("echo" in body for body in asked.bodies)


def test_a_server_that_refuses_to_echo_is_asked_position_by_position(provider, ask):
    provider.fault = lambda body, before: "refuses echo"
    asked = ask(COMPLETED)
    assert asked.plan.mode == "top"
    assert len(asked.bodies) == 2
    assert asked.model.found()["dropped"] == []


def test_only_the_interface_that_can_echo_is_probed(provider):
    for name in ("gpt-4.1", "gpt-6-astra", "claude-opus-5", COMPLETED + ",top=0"):
        model_of(name)
    assert not provider.received


# What a provider keeps of a prompt: blocks, and marks.

LONG = draw_problems(load_task(parse_specs(["conjunction"])[0]), 15, 60, 2)
SHORT = draw_problems(load_task(parse_specs(["conjunction"])[0]), 15, 12, 2)


def blocks_of(body):
    """All blocks in the order in which they are read: whose turn it is and the how-manyth, the text, whether marked."""
    messages = [{"role": "system", "content": body["system"]}] if "system" in body else []
    found = []
    for turn, message in enumerate([*messages, *body["messages"]]):
        for block in message["content"]:
            marked = block.get("cache_control")
            assert_same(block, {"type": "text", "text": block["text"]} | ({"cache_control": marked} if marked else {}))
            assert marked in (None, {"type": "ephemeral"})
            found.append((message["role"], turn, block["text"], bool(marked)))
    return found


def marks_of(blocks):
    """After how many blocks there is a mark."""
    return [i + 1 for i, block in enumerate(blocks) if block[-1]]


def unmarked(blocks):
    return [block[:-1] for block in blocks]


@pytest.mark.parametrize("name", prompt_names())
def test_what_long_prompts_begin_with_is_kept_from_one_position_to_the_next(ask, name):
    prompt = load_prompt(parse_specs([name])[0])
    asked = ask("claude-opus-5", prompt, LONG)
    points = LONG.points
    # Position by position: what the prompts of a problem share has been read when the next comes.
    assert [(call.positions, call.problem) for call in asked.plan.calls] == [
        ((position,), problem) for position in range(points) for problem in range(2)
    ]
    for problem in range(2):
        bodies = asked.bodies[problem::2]
        divided = [blocks_of(body) for body in bodies]
        for position, (body, blocks) in enumerate(zip(bodies, divided, strict=True)):
            plain = render(prompt, LONG, problem, position).messages()
            assert [message.role for message in plain] == [
                *(["system"] if "system" in body else []), *(message["role"] for message in body["messages"])
            ]  # fmt: skip
            for turn, message in enumerate(plain):
                assert "".join(text for _, at, text, _ in blocks if at == turn) == message.content
            assert 1 <= len(marks_of(blocks)) <= 4
            assert all(text.strip() for _, _, text, _ in blocks)
        for position, (before, after) in enumerate(pairwise(divided)):
            kept = marks_of(before)[-1]
            assert unmarked(before[:kept]) == unmarked(after[:kept])
            # The next prompt's first mark stands there; the last prompt of all keeps nothing new for a next one.
            assert kept == marks_of(after)[0 if position + 2 < points else -1]
            # What is kept is all that the two have in common.
            whole, longer = ("".join(text for _, _, text, _ in blocks) for blocks in (before, after))
            end = sum(len(text) for _, _, text, _ in before[:kept])
            assert whole[end : end + 1] != longer[end : end + 1]


def test_the_requests_leave_in_the_order_of_the_positions(ask):
    asked = ask("claude-opus-5", load_prompt(parse_specs(["basic"])[0]), LONG, repeats=2, positions=[0, 3, 59])
    shown = ["".join(text for _, _, text, _ in blocks_of(body)).count("Label:") - 1 for body in asked.bodies]
    assert shown == [0, 0, 3, 3, 59, 59] * 2
    assert [call.repeat for call in asked.plan.calls] == [0] * 6 + [1] * 6
    # Only some of the positions are asked for: what the one before them has been kept up to is still the first mark.
    first, second, third = (blocks_of(body) for body in asked.bodies[0:6:2])
    assert [len(marks_of(blocks)) for blocks in (first, second, third)] == [1, 2, 2]
    assert unmarked(first) == unmarked(second[: len(first)])
    assert unmarked(second) == unmarked(third[: len(second)])


@pytest.mark.parametrize("name", prompt_names())
def test_short_prompts_are_not_divided(ask, name):
    prompt = load_prompt(parse_specs([name])[0])
    positions = range(4 if name.startswith("pac-") else 12)
    asked = ask("claude-opus-5", prompt, SHORT, positions=positions)
    for position in positions:
        expected = [(turn.role, turn.content) for turn in render(prompt, SHORT, 0, position).messages()]
        body = asked.bodies[2 * position]
        assert [("system", body["system"]), *((m["role"], m["content"]) for m in body["messages"])] == expected
    assert "cache_control" not in json.dumps(asked.bodies)


def test_openai_gets_no_blocks(ask):
    prompt = load_prompt(parse_specs(["basic"])[0])
    for name, key in (("gpt-4.1", "messages"), ("gpt-6-astra", "input")):
        bodies = ask(name, prompt, LONG[:1], positions=[58, 59]).bodies
        assert [body[key][1]["content"] for body in bodies] == [render(prompt, LONG, 0, p).text for p in (58, 59)]


# What is read from the answers.

MANY = draw_problems(load_task(parse_specs(["majority"])[0]), 5, 12, 4)


def truth(prompt, problems, completion):
    """P(1) of the pretended model after every prompt, [N, P]."""

    def one(problem, position):
        rendered = render(prompt, problems, problem, position)
        turns = "\n".join(message.content for message in rendered.messages())
        return probability(rendered.completion() if completion else turns)

    return np.array([[one(i, j) for j in range(problems.points)] for i in range(len(problems))])


@pytest.mark.parametrize("prompt", ["basic", "basic:labels=no/yes", "chat-turns"])
@pytest.mark.parametrize("name", ["gpt-4.1", "gpt-5.5", "gpt-4.1:top=2"])
def test_the_probability_is_that_of_the_model_behind_the_interface(ask, monkeypatch, name, prompt):
    prompt = load_prompt(parse_specs([prompt])[0])
    if prompt.labels != ("0", "1"):
        answering(monkeypatch, saying(prompt.labels))
    asked = ask(name, prompt, MANY)
    expected = truth(prompt, MANY, completion=False)
    assert expected.std() > 0.1
    np.testing.assert_allclose(asked.answers.probability, expected, rtol=1e-9)
    np.testing.assert_array_equal(asked.answers.prediction, expected > 0.5)
    assert set(chain(*asked.statuses)) == {"ok"}


def saying(labels):
    """The pretended model with other words for its labels, with a blank or without."""

    def change(body, usual):
        first = usual["choices"][0]["logprobs"]["content"][0]
        for top in (first, *first["top_logprobs"]):
            if top["token"].strip() in ("0", "1"):
                top["token"] = f" {labels[int(top['token'])]}"
        return usual

    return change


def test_the_label_is_the_first_token_that_is_not_blank(ask, monkeypatch):
    def change(body, usual):
        listed = usual["choices"][0]["logprobs"]["content"]
        tops = [{"token": " ", "logprob": -0.1}, {"token": "1", "logprob": -3.0}, {"token": "0", "logprob": -4.0}]
        listed.insert(0, {"token": " ", "logprob": -0.1, "top_logprobs": tops})
        return usual

    answering(monkeypatch, change)
    prompt = load_prompt(parse_specs(["basic"])[0])
    expected = truth(prompt, MANY, completion=False)
    np.testing.assert_allclose(ask("gpt-4.1", prompt, MANY).answers.probability, expected, rtol=1e-9)


def test_a_curve_from_one_echo_is_the_answers_position_by_position(ask):
    prompt = load_prompt(parse_specs(["basic"])[0])
    model = model_of(COMPLETED)
    curve, single = (ask(model, prompt, MANY, mode) for mode in ("echo", "top"))
    assert (len(curve.bodies), len(single.bodies)) == (4, 48)
    expected = truth(prompt, MANY, completion=True)
    for asked in (curve, single):
        np.testing.assert_allclose(asked.answers.probability, expected, rtol=1e-9)
        np.testing.assert_array_equal(asked.answers.prediction, expected > 0.5)
    some = ask(model, prompt, MANY, "echo", positions=[2, 3, 9])
    np.testing.assert_allclose(some.answers.probability, expected[:, [2, 3, 9]], rtol=1e-9)


@pytest.mark.parametrize(
    "name",
    [
        "gpt-4.1", "gpt-5.5", "gpt-5.5:effort=high", "gpt-6-astra", "claude-opus-4.5", "claude-opus-5",
        "claude-sonnet-5.5", "claude-opus-5.5", "claude-opus-5:constrained=false",
    ],
)  # fmt: skip
def test_a_label_that_is_written_is_read_without_a_probability(ask, name):
    prompt = load_prompt(parse_specs(["basic"])[0])
    asked = ask(name, prompt, MANY, mode="generate")
    np.testing.assert_array_equal(asked.answers.prediction, truth(prompt, MANY, completion=False) > 0.5)
    assert np.isnan(asked.answers.probability).all()
    assert set(chain(*asked.statuses)) == {"ok"}


def ends(**choice):
    """A chat that ends in another way."""

    def change(body, usual):
        usual["choices"][0] |= choice
        return usual

    return change


def incomplete(reason):
    return lambda body, usual: usual | {"status": "incomplete", "incomplete_details": {"reason": reason}, "output": []}


def stops(reason):
    return lambda body, usual: usual | {"stop_reason": reason, "content": []}


@pytest.mark.parametrize(
    ("name", "mode", "change", "status"),
    [
        ("gpt-4.1", "top", ends(message={"content": None, "refusal": "No."}), "refused"),
        ("gpt-4.1", "generate", ends(message={"content": None, "refusal": "No."}), "refused"),
        ("gpt-4.1", "generate", ends(message={"content": ""}, finish_reason="content_filter"), "refused"),
        ("gpt-4.1", "generate", ends(message={"content": "The"}, finish_reason="length"), "truncated"),
        ("gpt-4.1", "generate", ends(message={"content": "The"}), "unparseable"),
        ("gpt-5.5:effort=high", "generate", incomplete("content_filter"), "refused"),
        ("gpt-5.5:effort=high", "generate", incomplete("max_output_tokens"), "truncated"),
        ("claude-opus-5", "generate", stops("refusal"), "refused"),
        ("claude-opus-5", "generate", stops("max_tokens"), "truncated"),
        ("claude-opus-5", "generate", stops("model_context_window_exceeded"), "too_long"),
        ("claude-opus-5", "generate", stops("end_turn"), "unparseable"),
    ],
)
def test_an_answer_without_a_label_is_what_the_provider_says_it_is(ask, monkeypatch, name, mode, change, status):
    answering(monkeypatch, change)
    asked = ask(name, mode=mode)
    assert asked.statuses == [[status, status]]
    assert asked.answers.prediction.tolist() == [[-1, -1]]
    assert np.isnan(asked.answers.probability).all()
    assert len(asked.bodies) == 2


def refuses_in_part(body, usual):
    """A label, and a refusal beside it."""
    if "choices" in usual:
        usual["choices"][0]["message"] |= {"content": "1", "refusal": "No."}
        return usual
    if "output" in usual:
        parts = [{"type": "output_text", "text": "1"}, {"type": "refusal", "refusal": "No."}]
        return usual | {"output": [{"type": "message", "content": parts}]}
    return usual | {"stop_reason": "refusal"}


@pytest.mark.parametrize("name", ["gpt-4.1", "gpt-4.1:top=0", "gpt-5.5:effort=high", "claude-opus-5"])
def test_a_label_beside_a_refusal_is_none(ask, monkeypatch, name):
    answering(monkeypatch, refuses_in_part)
    asked = ask(name)
    assert asked.statuses == [["refused", "refused"]]
    assert asked.answers.prediction.tolist() == [[-1, -1]]
    assert np.isnan(asked.answers.probability).all()


def test_the_parts_of_a_written_answer_belong_together(ask, monkeypatch):
    def responses(body, usual):
        text = [{"type": "output_text", "text": part} for part in ("", "1", " ")]
        return usual | {"output": [{"type": "reasoning", "summary": []}, {"type": "message", "content": text}]}

    def messages(body, usual):
        parts = [{"type": "text", "text": part} for part in ('{"label":', ' "1"}')]
        return usual | {"content": [{"type": "thinking", "thinking": '{"label": "0"}'}, *parts]}

    for name, change in (("gpt-6-astra", responses), ("claude-opus-5.5", messages)):
        with monkeypatch.context() as patched:
            answering(patched, change)
            asked = ask(name)
        assert (asked.statuses, asked.answers.prediction.tolist()) == ([["ok", "ok"]], [[1, 1]])


CHAT_USAGE = {"prompt_tokens": 2000, "completion_tokens": 7, "total_tokens": 2007}
RESPONSES_USAGE = {"input_tokens": 3000, "output_tokens": 250, "total_tokens": 3250}
MESSAGES_USAGE = {"input_tokens": 40, "output_tokens": 12}


@pytest.mark.parametrize(
    ("name", "price", "usage", "dollars"),
    [
        # 500 at $2, 1500 from the cache at $0.5, 7 written at $8, a million.
        (
            "gpt-4.1", {"input": 2, "cached": 0.5, "output": 8},
            CHAT_USAGE | {"prompt_tokens_details": {"cached_tokens": 1500}}, 0.001806,
        ),
        # 2000 at $2, 7 written at $8.
        ("gpt-4.1", {"input": 2, "cached": 0.5, "output": 8}, CHAT_USAGE | {"prompt_tokens_details": None}, 0.004056),
        # 976 at $5, 1024 from the cache at $0.5, 7 written at $30.
        (
            "gpt-5.5", {"input": 5, "cached": 0.5, "output": 30},
            CHAT_USAGE | {"prompt_tokens_details": {"cached_tokens": 1024}}, 0.005602,
        ),
        # 1976 at $5, 1024 from the cache at $0.5, and 250 written at $30, 240 of them reasoning.
        (
            "gpt-5.5:effort=high", {"input": 5, "cached": 0.5, "output": 30},
            RESPONSES_USAGE | {"input_tokens_details": {"cached_tokens": 1024},
                               "output_tokens_details": {"reasoning_tokens": 240}}, 0.017892,
        ),
        # 3000 at $10, 250 written at $50.
        (
            "gpt-6-astra", {"input": 10, "cached": 1, "write": 12.5, "output": 50},
            RESPONSES_USAGE | {"input_tokens_details": {"cached_tokens": 0}}, 0.0425,
        ),
        # 40 at $2, 1000 from the cache at $0.2, 300 into it at $2.5, 12 written at $10.
        (
            "claude-sonnet-5", {"input": 2, "cached": 0.2, "write": 2.5, "output": 10},
            MESSAGES_USAGE | {"cache_read_input_tokens": 1000, "cache_creation_input_tokens": 300}, 0.00115,
        ),
        # 40 at $4, 5000 from the cache at $0.2, 12 written at $20.
        (
            "claude-opus-5.5", {"input": 4, "cached": 0.2, "write": 5, "output": 20},
            MESSAGES_USAGE | {"cache_read_input_tokens": 5000, "cache_creation_input_tokens": None}, 0.0014,
        ),
        # 40 at $1, 12 written at $5.
        ("claude-haiku-4.5", {"input": 1, "cached": 0.1, "write": 1.25, "output": 5}, MESSAGES_USAGE, 0.0001),
    ],
)  # fmt: skip
def test_the_cost_is_that_of_the_tokens_at_the_catalogues_prices(ask, monkeypatch, name, price, usage, dollars):
    answering(monkeypatch, lambda body, usual: usual | {"usage": usage})
    asked = ask(name)
    assert asked.model.entry.price == price
    assert asked.cost == pytest.approx(2 * dollars, rel=1e-9)


def test_an_answer_costs_what_it_costs_whatever_it_says(provider, ask):
    for name in ("gpt-4.1", "claude-opus-5"):
        provider.fault = lambda body, before: ""
        answered = ask(name)
        provider.fault = lambda body, before: "refusal"
        assert ask(name).cost == answered.cost > 0


def test_a_server_that_counts_no_tokens_has_answered_all_the_same(provider, ask, monkeypatch):
    answering(monkeypatch, lambda body, usual: {key: usual[key] for key in usual if key != "usage"})
    asked = ask(model_of("openai/x", f"{provider.url}/v1"))
    assert asked.statuses == [["ok", "ok"]]
    assert asked.cost == 0


@pytest.mark.parametrize("name", ["gpt-4.1", "gpt-6-astra", "claude-opus-5", COMPLETED])
def test_the_model_is_named_as_the_provider_names_it(ask, monkeypatch, name):
    names = {TEXTS[0]: "the-first-of-them-2026-03", TEXTS[1]: "another-2026-04"}

    def change(body, usual):
        name = next(name for text, name in names.items() if servers.prompt_of(body).endswith(text))
        return usual | {"model": name}

    model = model_of(name)
    answering(monkeypatch, change)
    asked = ask(model, mode="generate")
    assert model.found() == {"served": ["another-2026-04", "the-first-of-them-2026-03"], "dropped": []}
    assert [reply["model"] for reply in asked.replies] == list(names.values())


def every_byte(body, usual):
    """Usage in which every byte of the prompt is a token that is paid for in full, and the reply uses all its room."""
    read = len(servers.prompt_of(body).encode())
    room = next(body[key] for key in ("max_completion_tokens", "max_output_tokens", "max_tokens") if key in body)
    if "content" in usual:
        usage = {"input_tokens": 0, "cache_creation_input_tokens": read, "output_tokens": room}
    elif "output" in usual:
        usage = {"input_tokens": read, "output_tokens": room}
    else:
        usage = {"prompt_tokens": read, "completion_tokens": room}
    return usual | {"usage": usage}


PRICED = [
    *NAMES, "gpt-4.1:api=responses", "gpt-5.5:api=chat,effort=high", "claude-opus-5:constrained=false",
    "claude-opus-5.5:constrained=false",
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "prompt"),
    [
        *((name, prompt) for name in PRICED for prompt in ("basic", "chat-turns", "pac-step-by-step")),
        *((COMPLETED, prompt) for prompt in ("basic", "pac-step-by-step")),
    ],
)
def test_no_question_costs_more_than_was_held_for_it(provider, name, prompt):
    model = model_of(name)
    if name == COMPLETED:
        model.entry = dataclasses.replace(model.entry, price={"input": 2, "output": 2})
    prompt = dataclasses.replace(load_prompt(parse_specs([prompt])[0]), labels=("né", "日本"))
    path = {"messages": CHAT, "input": RESPONSES, "prompt": COMPLETIONS}
    for mode in model.modes if prompt.label_comes_next else ("generate",):
        for call in plan_for(model, prompt, LONG, range(0, 60, 7), mode).calls:
            body = model.body(call)
            where = MESSAGES if name.startswith("claude") else next(path[key] for key in path if key in body)
            reply = model.reply(call, json.dumps(every_byte(body, servers.answer(where, body))))
            cost, held = model.cost(reply["usage"]), model.greatest_cost(call)
            assert 0 < cost <= held
            assert held < 2 * cost  # and a budget can be used up


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gpt-4.1:effort=high", "takes no reasoning effort"),
        ("gpt-5.5:effort=high,temperature=0.7", "takes no temperature at effort high"),
        ("gpt-6-astra:temperature=0", "takes no temperature at effort low"),
        ("gpt-4.1:temperature=nan", "temperature must be a number of at least 0"),
        ("gpt-4.1:timeout=inf", "timeout must be a number of at least 0.001"),
        ("claude-opus-5:thinking=false", "thinking=False is not one of adaptive, between_tools, disabled"),
    ],
)
def test_an_option_that_would_have_no_effect_is_refused(name, message):
    with pytest.raises(RequestError, match=message):
        model_of(name)


def test_thinking_that_is_asked_for_gets_room(written):
    body = next(iter(bodies_of(model_of("claude-opus-5:thinking=adaptive"), written(), "generate")))
    assert body["max_tokens"] > 4000


def test_the_responses_interface_is_not_asked_for_probabilities():
    assert model_of("gpt-4.1:api=responses,top=5").modes == ("generate",)


def test_tokens_that_openai_puts_into_its_cache_have_a_price_of_their_own():
    model = model_of("gpt-5.6-luna")
    usage = {"prompt_tokens": 2000, "prompt_tokens_details": {"cache_write_tokens": 2000}, "completion_tokens": 2}
    answer = {"model": "m", "choices": [{"message": {"content": "1"}, "finish_reason": "stop"}], "usage": usage}
    question = Planned(0, (0,), "", (), {"mode": "generate", "prompt": [], "stop": (), "max_tokens": 2})
    assert model.cost(model.read(question, answer)["usage"]) == pytest.approx((2000 * 0.25 + 2 * 1.2) / 1e6)


def test_headers_of_a_provider_in_the_environment_stay_there(provider, ask, monkeypatch):
    for variable in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(variable, "org-of-mine")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Secret: org-of-mine")
    received = ask(model_of("openai/x", f"{provider.url}/v1")).received
    assert received
    assert not any("org-of-mine" in " ".join(one.headers.values()) for one in received)
