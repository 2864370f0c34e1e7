"""The model generates text, which is parsed."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from llm_icl.asking.modes.base import Mode, Plan, Planned
from llm_icl.asking.replies import Outcome, from_text
from llm_icl.backends.base import LanguageModel, TokenModel, WritingModel
from llm_icl.backends.exchange import GenerateRequest, Reply
from llm_icl.errors import RequestError
from llm_icl.problems import Problems
from llm_icl.prompting.layout import common_length
from llm_icl.prompting.rendering import render
from llm_icl.prompting.templates import Prompt
from llm_icl.prompting.token_estimate import estimated_tokens

# Minimum prompt tokens for a provider's prompt cache.
_LEAST_KEPT = 1024


class GenerateMode(Mode[GenerateRequest]):
    """One call for each position of each problem and repeat.

    Calls are ordered by position, not by problem: by the time a prompt is sent, its prefix is in the provider's
    prompt cache; the same holds for repeats.
    """

    name = "generate"
    writes = True
    request: type[GenerateRequest] = GenerateRequest

    def plan(
        self, model: LanguageModel, prompt: Prompt, problems: Problems, positions: Sequence[int], repeats: int
    ) -> Plan:
        if repeats > 1 and not model.samples:
            raise RequestError("the model decodes greedily, so repeats would be identical: omit --repeats")
        labels = prompt.labels if model.constrains and prompt.label_comes_next else ()
        calls, too_long = [], []
        for i in range(len(problems)):
            wires = [model.wire(render(prompt, problems, i, position)) for position in positions]
            long = _too_long(model, prompt, wires)
            cuts = _cuts(wires) if model.shares_prefixes else [()] * len(wires)
            for position, wire, does_not_fit, some in zip(positions, wires, long, cuts, strict=True):
                if does_not_fit:
                    too_long.append((i, position))
                    continue
                for repeat in range(repeats):
                    request = self.request(
                        prompt=wire, stop=prompt.stop, max_tokens=prompt.max_tokens, labels=labels, cuts=some,
                        repeat=repeat if repeats > 1 else None,
                    )  # fmt: skip
                    calls.append(Planned(i, (position,), _shown(wire), request))
        calls.sort(key=lambda call: (call.request.repeat or 0, call.positions))
        return Plan(self.name, tuple(calls), tuple(too_long))

    def blocks(self, model: WritingModel, plan: Plan) -> Iterable[Sequence[Planned]]:
        """Batches of as many texts as the model takes."""
        size = model.texts_at_once
        return [plan.calls[start : start + size] for start in range(0, len(plan.calls), size)]

    def ask(self, model: WritingModel, requests: Sequence[GenerateRequest], shared: int) -> list[Reply]:
        first = requests[0]  # all requests of a plan have the same limits
        return model.generate([request.prompt for request in requests], first.max_tokens, first.stop)

    def read(self, reply: Reply, prompt: Prompt) -> list[Outcome]:
        return [from_text(reply, prompt)]


def _too_long(model: LanguageModel, prompt: Prompt, wires: Sequence[Any]) -> list[bool]:
    """Which prompts exceed the context length; for a provider's own tokenizer, the provider reports it."""
    if not isinstance(model, TokenModel):
        return [False] * len(wires)
    return [len(tokens) + prompt.max_tokens > model.context_length for tokens in model.tokenize(wires)]


def _cuts(wires: Sequence[Any]) -> list[tuple[int, ...]]:
    """The lengths in characters of the prefixes that each prompt shares with the previous and the next one; empty for
    prompts below the minimum of the prompt cache.
    """
    flat = ["".join(message["content"] for message in wire) for wire in wires]
    if estimated_tokens(flat[-1:]) < _LEAST_KEPT:
        return [()] * len(flat)
    borders = [common_length(*pair) for pair in pairwise(flat)]
    return [tuple(sorted({*borders[: j + 1]} - {0})) for j in range(len(flat))]


def _shown(wire: Any) -> str:
    if isinstance(wire, dict):  # with the name of what it asks
        wire = wire["prompt"]
    if isinstance(wire, str):
        return wire
    return "\n\n".join(f"[{message['role']}]\n{message['content']}" for message in wire)
