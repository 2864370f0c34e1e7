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
from llm_icl.errors import RequestError
from llm_icl.prompting.layout import CannotScoreError, label_places
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

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        async with self._one_at_a_time:
            return await anyio.to_thread.run_sync(partial(self._answer, input, config))

    def close(self) -> None:
        self._model.close()

    def _answer(self, asked: Sequence[ChatMessage], config: GenerateConfig) -> ModelOutput:
        told: Mapping[str, Any] = asked[-1].metadata or {}
        labels = told.get("labels")
        text, gap = self._text(asked, told)
        if labels:
            return self._compared(text, gap, labels)
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

    def _compared(self, text: str, gap: str, labels: Sequence[str]) -> ModelOutput:
        """The likelier label, and the log-probabilities of both."""
        zero, one = labels
        try:
            (place,) = label_places([text], gap, (zero, one), self._model.tokenize)
        except CannotScoreError as problem:
            raise RequestError(str(problem)) from None
        if len(place.context) + max(len(place.zero), len(place.one)) > self._model.context_length:
            return self._output("", "model_length")
        (scores,) = self._model.score_positions([place])
        found = {zero: max(scores.zero, _NEVER), one: max(scores.one, _NEVER)}
        answer = one if scores.one > scores.zero else zero
        tops = [TopLogprob(token=label, logprob=value) for label, value in found.items()]
        token = Logprob(token=answer, logprob=found[answer], top_logprobs=tops)
        return self._output(answer, "stop", Logprobs(content=[token]))

    def _output(self, text: str, stopped: StopReason, logprobs: Logprobs | None = None) -> ModelOutput:
        message = ChatMessageAssistant(content=text, model=self.model_name, source="generate")
        choice = ChatCompletionChoice(message=message, stop_reason=stopped, logprobs=logprobs)
        return ModelOutput(model=self.model_name, choices=[choice])
