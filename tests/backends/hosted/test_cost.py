"""What an answer costs, what is held for it, and what the provider calls the model."""

import dataclasses
import json

import pytest

from llm_icl.asking.plan import plan_for
from llm_icl.backends.exchange import GenerateRequest
from llm_icl.backends.hosted.model import RemoteModel
from llm_icl.config.specs import parse_specs
from llm_icl.prompting import load_prompt
from tests.backends.hosted.making import (
    CHAT,
    COMPLETED,
    COMPLETIONS,
    LONG,
    MESSAGES,
    NAMES,
    RESPONSES,
    TEXTS,
    answering,
    model_of,
)
from tests.servers import provider as servers

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
        # 120 at $5, 501 written at $30: reasoning counted apart, and in the total; in the total only; and not there.
        (
            "gpt-5.5:effort=high", {"input": 5, "cached": 0.5, "output": 30},
            {"input_tokens": 120, "output_tokens": 1, "total_tokens": 621,
             "output_tokens_details": {"reasoning_tokens": 500}}, 0.01563,
        ),
        (
            "gpt-5.5:effort=high", {"input": 5, "cached": 0.5, "output": 30},
            {"input_tokens": 120, "output_tokens": 1, "total_tokens": 621}, 0.01563,
        ),
        (
            "gpt-5.5:effort=high", {"input": 5, "cached": 0.5, "output": 30},
            {"input_tokens": 120, "output_tokens": 1, "output_tokens_details": {"reasoning_tokens": 500}}, 0.01563,
        ),
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
    # More tokens than the prompt has bytes would not be believed.
    monkeypatch.setattr(RemoteModel, "max_cost", lambda self, request: 1.0)
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
            body = model.body(call.request)
            where = MESSAGES if name.startswith("claude") else next(path[key] for key in path if key in body)
            reply = model.reply(call.request, json.dumps(every_byte(body, servers.answer(where, body))))
            cost, held = model.cost(reply.usage), model.max_cost(call.request)
            assert 0 < cost <= held
            assert held < 2 * cost  # and a budget can be used up


def test_tokens_that_openai_puts_into_its_cache_have_a_price_of_their_own():
    model = model_of("gpt-5.6-luna")
    usage = {"prompt_tokens": 2000, "prompt_tokens_details": {"cache_write_tokens": 2000}, "completion_tokens": 2}
    answer = {"model": "m", "choices": [{"message": {"content": "1"}, "finish_reason": "stop"}], "usage": usage}
    request = GenerateRequest(prompt=[], max_tokens=2)
    assert model.cost(model.read(request, answer).usage) == pytest.approx((2000 * 0.25 + 2 * 1.2) / 1e6)
