"""What goes to OpenAI and Anthropic, field by field, for every family and mode."""

import asyncio
import re
from collections import defaultdict
from pathlib import Path

import pytest
import yaml

from llm_icl.asking.plan import plan_for
from llm_icl.backends import find_model, model_names
from llm_icl.backends.hosted.faults import TransientError
from llm_icl.errors import RequestError
from tests.backends.hosted.making import (
    NAMES,
    TEXTS,
    TWO,
    WIRE,
    assert_same,
    bodies_of,
    model_of,
)

CATALOGUE = Path(__file__).parents[3] / "llm_icl" / "backends" / "catalogue.yaml"


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


# What the providers answer with 400 not taken from the catalogue.
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
            with pytest.raises(RequestError, match="does not support effort="):
                model_of(name + options)
            continue
        model = model_of(name + options)
        for mode in model.modes:
            for body in bodies_of(model, written(), mode, repeats=2 if mode == "generate" else 1):
                assert not refused(body), (name, options, mode)
                thinking = body.get("thinking", {}).get("type")
                assert (thinking == "between_tools") == (body["model"] == "claude-sonnet-5-5")
                assert thinking != "disabled" or body["model"] not in never_disabled


@pytest.mark.parametrize("name", ["gpt-4.1", "gpt-5.5:effort=high", "claude-opus-5"])
@pytest.mark.parametrize("fault", ["500", "429 0.01", "529", "garbage"])
def test_the_sdk_sends_nothing_again_by_itself(provider, written, name, fault):
    provider.fault = lambda body, before: fault
    model = model_of(name)
    question = plan_for(model, written(), TWO, [0]).calls[0].request

    async def once():
        await model.open()
        try:
            await model.ask(question)
        finally:
            await model.aclose()

    with pytest.raises(TransientError):
        asyncio.run(once())
    assert len(provider.received) == 1
