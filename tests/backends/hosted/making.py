"""What the tests of hosted models have in common: a prompt, its texts by hand, and the bodies of every family."""

import json
from pathlib import Path

import numpy as np

from llm_icl.asking.plan import plan_for
from llm_icl.backends import backends, find_model
from llm_icl.config.specs import parse_specs
from llm_icl.problems import Problems, Task
from llm_icl.tasks.cards import load_task
from llm_icl.tasks.drawing import draw_problems
from tests.servers import provider as servers

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


def model_of(name, base_url=""):
    entry = find_model(name, base_url)
    return backends.get(entry.backend).load(entry, Path())


def bodies_of(model, prompt, mode, repeats=1):
    """What would be sent."""
    return [model.body(call.request) for call in plan_for(model, prompt, TWO, range(2), mode, repeats).calls]


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

COMPLETED = "openai/davinci-002:api=completions"

LONG = draw_problems(load_task(parse_specs(["conjunction"])[0]), 15, 60, 2)
