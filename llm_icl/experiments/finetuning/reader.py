"""A language model that reads demonstrations and answers queries, with keys and values cached."""

import itertools
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from llm_icl.backends.base import ModelEntry, backend_with_weights
from llm_icl.backends.lengths import context_length, turning_length
from llm_icl.backends.loading import load_model, loading
from llm_icl.backends.self_check import check_language_model
from llm_icl.backends.tokenizers import tokens_of
from llm_icl.errors import RequestError
from llm_icl.experiments.finetuning.projections import Layer, attention_layers
from llm_icl.experiments.finetuning.recording import Attended, recording
from llm_icl.experiments.finetuning.text_tasks import Example, TextTask
from local_models.kv_cache import cached


@dataclass(frozen=True)
class Tokens:
    """A text, and the tokens of each label's word after it."""

    text: tuple[int, ...]
    labels: tuple[tuple[int, ...], ...]


@dataclass
class Context:
    """Demonstrations as the model has read them: all tokens, the span of each demonstration, keys and values."""

    tokens: list[int]
    spans: list[tuple[int, int]]
    cache: Any


@dataclass(frozen=True)
class Answer:
    """The mean log-probability of each label's tokens; and the recording of each layer at the text's last token, whose
    last output is that at the token after it: the first of label 0's word.
    """

    scores: tuple[float, ...]
    layers: list[Attended]

    @property
    def label(self) -> int:
        return max(range(len(self.scores)), key=self.scores.__getitem__)


class Reader:
    """A model in float32, its tokenizer, and the words of one task's labels.

    Demonstrations are separated by a line break ("newline"), or, as in the paper, by the end-of-text token ("end").
    """

    def __init__(self, model: Any, tokenizer: Any, task: TextTask, separator: str = "newline") -> None:
        self.model, self.tokenizer, self.task = model.eval(), tokenizer, task
        self._tokens = tokens_of(tokenizer, getattr(tokenizer, "name_or_path", ""))
        self._tokens.check(" ".join(task.labels))
        # What the tokenizer writes before a text, if anything: not all tokenizers declare it as their BOS token.
        self.beginning: list[int] = self._tokens.before
        if separator == "end" and tokenizer.eos_token_id is None:
            raise RequestError("the tokenizer has no end-of-text token: choose --separator newline")
        self.separator: list[int] = [tokenizer.eos_token_id] if separator == "end" else self._encode("\n")
        if not self.separator:
            raise RequestError("the tokenizer has no token for a line break: choose --separator end")
        self.limit = min(context_length(model) or sys.maxsize, turning_length(model) or sys.maxsize)

    def tokens(self, example: Example) -> Tokens:
        """Raises RequestError where the tokenizer does not separate the text from the labels."""
        wholes = [self._encode(f"{example.text} {word}") for word in self.task.labels]
        text = self._encode(example.text)
        while any(whole[: len(text)] != text for whole in wholes):  # the space may belong to the text's last token
            text = text[:-1]
        labels = tuple(tuple(whole[len(text) :]) for whole in wholes)
        if not text or not all(labels) or len(set(labels)) < len(labels):
            raise RequestError(f"the tokenizer gives labels of '{self.task.name}' the same tokens, or none")
        return Tokens(tuple(text), labels)

    def demonstration(self, example: Example) -> list[int]:
        """The tokens of a text with its label, without a beginning."""
        tokens = self.tokens(example)
        return [*tokens.text, *tokens.labels[example.label]]

    def fitting(self, demonstrations: Sequence[Example], queries: Sequence[Example]) -> int:
        """The number of demonstrations, from the first on, that fit before every query."""
        tokens = [self.tokens(query) for query in queries]
        room = self.limit - len(self.beginning) - max(len(one.text) + max(map(len, one.labels)) for one in tokens)
        lengths = [len(self.demonstration(example)) + len(self.separator) for example in demonstrations]
        return sum(whole <= room for whole in itertools.accumulate(lengths))

    def read(self, demonstrations: Sequence[Example]) -> Context:
        """Read demonstrations once, for all queries. Raises RequestError where they do not fit."""
        from transformers import DynamicCache

        tokens, spans = list(self.beginning), []
        for example in demonstrations:
            own = self.demonstration(example)
            spans.append((len(tokens), len(tokens) + len(own)))
            tokens += own + self.separator
        if len(tokens) >= self.limit:
            raise RequestError(
                f"{len(demonstrations)} demonstrations of '{self.task.name}' have {len(tokens)} tokens, more than the "
                f"model's context of {self.limit}"
            )
        cache = DynamicCache()
        if tokens:
            with torch.no_grad():
                self.model(input_ids=self.ids(tokens), logits_to_keep=1, **cached(self.model, cache))
        return Context(tokens, spans, cache)

    def answer(self, context: Context, example: Example, layers: Sequence[Layer] = ()) -> Answer:
        """The model's answer to a query after the context, which is unchanged afterwards. `layers` are recorded. Raises
        FloatingPointError where a score is not finite.
        """
        from transformers import DynamicCache

        tokens, read = self.tokens(example), len(context.tokens)
        if read + len(tokens.text) + max(map(len, tokens.labels)) > self.limit:
            raise RequestError(
                f"a query of {len(tokens.text)} tokens does not fit the context after the demonstrations"
            )
        recorded: list[Attended] = []
        with torch.no_grad():
            if layers:
                with recording(self.model, layers, back=1) as recorded:
                    first = self._next(context, [*tokens.text, tokens.labels[0][0]], 2)[0]
                context.cache.crop(-1)
            else:
                first = self._next(context, tokens.text, 1)[0]
            scores = []
            for label in tokens.labels:
                score = float(first[label[0]])
                if len(label) > 1:
                    rows = self._next(context, label[:-1], len(label) - 1)
                    score += sum(float(row[token]) for row, token in zip(rows, label[1:], strict=True))
                    context.cache.crop(1 - len(label))
                scores.append(score / len(label))
            if read:
                context.cache.crop(-len(tokens.text))
            else:
                context.cache = DynamicCache()
        if not all(map(math.isfinite, scores)):
            raise FloatingPointError("an answer's log-probability is not finite")
        return Answer(tuple(scores), recorded)

    def _next(self, context: Context, tokens: Sequence[int], last: int) -> torch.Tensor:
        """Read on. Returns the log-probabilities after each of the last tokens, (last, vocabulary)."""
        ids = self.ids(tokens)
        found = self.model(input_ids=ids, logits_to_keep=last, **cached(self.model, context.cache))
        rows: torch.Tensor = found.logits[0].float().log_softmax(-1)  # (last, vocabulary)
        return rows

    def ids(self, tokens: Sequence[int]) -> torch.Tensor:
        """A batch of one sequence, on the model's device."""
        return torch.tensor([list(tokens)], device=self.model.device)

    def _encode(self, text: str) -> list[int]:
        return self._tokens.plain([text])[0]


def load_reader(entry: ModelEntry, task: TextTask, separator: str, random: int | None = None) -> Reader:
    """The reader of a model; with the seed `random`, of one with its architecture and random weights.

    Raises RequestError where the model cannot be loaded.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    source, how = backend_with_weights(entry).source(entry)
    with loading(entry.name):
        tokenizer = AutoTokenizer.from_pretrained(source, **how)
        if random is None:
            model = load_model(AutoModelForCausalLM, entry.name, source, torch.float32, how)
        else:
            torch.manual_seed(random)
            model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(source, **how), dtype=torch.float32)
        model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    attention_layers(model)  # a model without them is refused for that, whatever else it cannot do
    reuse = check_language_model(entry.name, model, tokenizer)
    if reuse.reasons:
        raise RequestError(
            f"model '{entry.name}' cannot read demonstrations once for all queries: {'; '.join(reuse.reasons)}"
        )
    return Reader(model, tokenizer, task, separator)
