"""What a provider keeps of a prompt: blocks, and marks."""

import json
from itertools import pairwise

import pytest

from llm_icl.config.specs import parse_specs
from llm_icl.prompting import load_prompt, prompt_names, render
from llm_icl.tasks.cards import load_task
from llm_icl.tasks.drawing import draw_problems
from tests.backends.hosted.making import LONG, assert_same

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
    assert [call.request.repeat for call in asked.plan.calls] == [0] * 6 + [1] * 6
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
