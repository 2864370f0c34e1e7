"""Models of this package for inspect_ai: `--model llm_icl/NAME`, with NAME as in `llm-icl eval --model NAME`."""

import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    GenerateConfig,
    Logprob,
    Logprobs,
    ModelAPI,
    ModelOutput,
    StopReason,
    TopLogprob,
    modelapi,
)  # fmt: skip
from inspect_ai.tool import ToolChoice, ToolInfo

from llm_icl.backends.base import LocalModel, backends
from llm_icl.backends.catalogue import find_model
from llm_icl.backends.exchange import LabelScores
from llm_icl.errors import RequestError
from llm_icl.prompting.layout import CannotScoreError, LabelPlace, label_places
from llm_icl.prompting.rendering import Message

# The log-probability of what is impossible: -inf is no JSON.
_NEVER = -1e4


@modelapi("llm_icl")
def llm_icl() -> type[ModelAPI]:
    return OwnModel


class OwnModel(ModelAPI):
    """A model in this process. Where a message names labels, they are compared, and the likelier one is the reply."""

    def __init__(
        self, model_name: str, base_url: str | None = None, api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(),  # noqa: B008  (as in the base class)
    ) -> None:  # fmt: skip
        super().__init__(model_name, config=config)
        entry = find_model(model_name)
        backend = backends.get(entry.backend)
        if not issubclass(backend, LocalModel):
            raise RequestError(f"'{model_name}' does not run in this process: inspect_ai has providers for such models")
        backend.check(entry)
        model = backend.load(entry, Path(tempfile.gettempdir()))
        assert isinstance(model, LocalModel)
        self._model = model
        self._one_at_a_time = anyio.Lock()
        self._waiting: set[LabelPlace] = set()
        self._scored: dict[LabelPlace, LabelScores] = {}

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        told: Mapping[str, Any] = input[-1].metadata or {}
        text, gap = self._text(input, told)
        if labels := told.get("labels"):
            return await self._compared(text, gap, labels)
        async with self._one_at_a_time:
            return await anyio.to_thread.run_sync(partial(self._written, text, config))

    def close(self) -> None:
        self._model.close()

    def _written(self, text: str, config: GenerateConfig) -> ModelOutput:
        most = config.max_tokens or 1
        if len(self._model.tokenize([text])[0]) + most > self._model.context_length:
            return self._output("", "model_length")
        (reply,) = self._model.generate([text], most, config.stop_seqs or ())
        return self._output(reply.text or "", "max_tokens" if reply.truncated else "stop")

    def _text(self, asked: Sequence[ChatMessage], told: Mapping[str, Any]) -> tuple[str, str]:
        """The prompt as the model gets it, and what stands between it and a label."""
        if not self._model.chats and "completion" in told:
            return told["completion"], told.get("gap", "")
        if not self._model.chats and len(asked) == 1:
            return asked[0].text, ""
        turns = [Message(message.role, message.text) for message in asked]
        text = self._model.chat_format.text(turns)
        return text, self._gap(turns, text, told["labels"]) if "labels" in told else ""

    def _gap(self, turns: Sequence[Message], text: str, labels: Sequence[str]) -> str:
        """Found where the chat format writes an answer. Raises RequestError where it writes none."""
        query = turns[-1].content
        end = query + text.rpartition(query)[2]
        for label in labels:
            for answered in self._model.chat_format.answered(turns, label):
                rest = answered.rpartition(end)[2]
                if rest.lstrip().startswith(label):
                    return rest[: len(rest) - len(rest.lstrip())]
        raise RequestError(f"the chat template of '{self.model_name}' does not show where an answer stands")

    async def _compared(self, text: str, gap: str, labels: Sequence[str]) -> ModelOutput:
        """The likelier label, and the log-probabilities of both."""
        zero, one = labels
        try:
            (place,) = label_places([text], gap, (zero, one), self._model.tokenize)
        except CannotScoreError as problem:
            raise RequestError(str(problem)) from None
        if len(place.context) + max(len(place.zero), len(place.one)) > self._model.context_length:
            return self._output("", "model_length")
        scores = await self._scores(place)
        found = {zero: max(scores.zero, _NEVER), one: max(scores.one, _NEVER)}
        answer = one if scores.one > scores.zero else zero
        tops = [TopLogprob(token=label, logprob=value) for label, value in found.items()]
        token = Logprob(token=answer, logprob=found[answer], top_logprobs=tops)
        return self._output(answer, "stop", Logprobs(content=[token]))

    async def _scores(self, place: LabelPlace) -> LabelScores:
        """Prompts that wait are scored together, ordered by their tokens: the model keeps what they have in common."""
        self._waiting.add(place)
        async with self._one_at_a_time:
            if place not in self._scored:
                together = sorted({*self._waiting, place}, key=lambda one: one.context)
                self._waiting.clear()
                found = await anyio.to_thread.run_sync(self._model.score_positions, together)
                self._scored.update(zip(together, found, strict=True))
            return self._scored.pop(place)

    def _output(self, text: str, stopped: StopReason, logprobs: Logprobs | None = None) -> ModelOutput:
        message = ChatMessageAssistant(content=text, model=self.model_name, source="generate")
        choice = ChatCompletionChoice(message=message, stop_reason=stopped, logprobs=logprobs)
        return ModelOutput(model=self.model_name, choices=[choice])
