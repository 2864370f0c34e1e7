"""A language model that reads demonstrations and answers queries, with keys and values cached."""

import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from llm_icl.backends.base import ModelEntry, backend_with_weights
from llm_icl.backends.forward.self_check import check_language_model
from llm_icl.backends.lengths import context_length, turning_length
from llm_icl.backends.loading import load_model, loading
from llm_icl.backends.tokenizers import tokens_of
from llm_icl.errors import RequestError
from llm_icl.experiments.finetuning.projections import Layer, attention_layers
from llm_icl.experiments.finetuning.recording import Attended, recording
from llm_icl.experiments.finetuning.text_tasks import Example, TextTask
from local_models.kv_cache import cached

# So many queries are answered at once, and no more than have so many tokens together with their copies of the context.
_QUERIES, _TOKENS = 8, 4096


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

    def repeated(self, count: int) -> Any:
        """A copy of keys and values for so many sequences, which a model can extend."""
        from transformers import DynamicCache

        cache = DynamicCache()
        for number, layer in enumerate(self.cache.layers):
            cache.update(layer.keys.expand(count, -1, -1, -1), layer.values.expand(count, -1, -1, -1), number)
        return cache


@dataclass(frozen=True)
class Answer:
    """The mean log-probability of each label's tokens; and the recording of each layer at the text's last token. The
    token after it is the first of label 0's word.
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
        for (shorter, first), (longer, second) in itertools.permutations(zip(labels, self.task.labels, strict=True), 2):
            if longer[: len(shorter)] == shorter:  # the second can never be likelier than the first
                raise RequestError(f"'{first}' is the beginning of '{second}': choose labels that begin differently")
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

    def batches(self, queries: Sequence[Example], context: Context) -> list[list[int]]:
        """The numbers of the queries that are answered together."""
        lengths = [len(context.tokens) + len(self.tokens(query).text) for query in queries]
        return by_length(lengths, _TOKENS, _QUERIES)

    def answer(self, context: Context, query: Example, layers: Sequence[Layer] = ()) -> Answer:
        return self.answers(context, [query], layers)[0]

    @torch.no_grad()
    def answers(self, context: Context, queries: Sequence[Example], layers: Sequence[Layer] = ()) -> list[Answer]:
        """The model's answers to queries, each on its own after the context. `layers` are recorded.

        Raises FloatingPointError where a score is not finite.
        """
        tokens = [self.tokens(query) for query in queries]
        for one in tokens:
            if len(context.tokens) + len(one.text) + max(map(len, one.labels)) > self.limit:
                raise RequestError(
                    f"a query of {len(one.text)} tokens does not fit the context after the demonstrations"
                )
        recorded: list[list[Attended]] = [[] for _ in queries]
        if layers:
            with recording(self.model, layers) as found:
                first = self._after(context, [(one.text, one.labels[0][:1]) for one in tokens])
            recorded = [[layer.at(row, len(one.text) - 1) for layer in found] for row, one in enumerate(tokens)]
        else:
            first = self._after(context, [(one.text, ()) for one in tokens])
        scores = np.empty((len(tokens), len(self.task.labels)))
        for number in range(len(self.task.labels)):
            labels = [one.labels[number] for one in tokens]
            rows = first
            if max(map(len, labels)) > 1:
                rows = self._after(context, [(one.text, label[:-1]) for one, label in zip(tokens, labels, strict=True)])
            for query, label in enumerate(labels):
                scores[query, number] = rows[query][range(len(label)), label].mean()
        if not np.isfinite(scores).all():
            raise FloatingPointError("an answer's log-probability is not finite")
        return [Answer(tuple(some), kept) for some, kept in zip(scores.tolist(), recorded, strict=True)]

    def _after(self, context: Context, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[torch.Tensor]:
        """Read a text and what follows it, each pair on its own after the context, which is unchanged afterwards.
        Returns the log-probabilities at each text's last token and at every token that follows it, (1 + number,
        vocabulary). Shorter pairs are padded at their end, where none of their tokens sees it.
        """
        length = max(len(text) + len(rest) for text, rest in pairs)
        padded = [[*text, *rest, *[0] * (length - len(text) - len(rest))] for text, rest in pairs]
        start = min(len(text) for text, _ in pairs) - 1
        found = self.model(
            input_ids=torch.tensor(padded, device=self.model.device),
            logits_to_keep=length - start,
            **cached(self.model, context.repeated(len(pairs))),
        )
        rows = (logits[len(text) - 1 - start : len(text) + len(rest) - start]
                for (text, rest), logits in zip(pairs, found.logits, strict=True))  # fmt: skip
        return [some.float().log_softmax(-1) for some in rows]

    def ids(self, tokens: Sequence[int]) -> torch.Tensor:
        """A batch of one sequence, on the model's device."""
        return torch.tensor([list(tokens)], device=self.model.device)

    def _encode(self, text: str) -> list[int]:
        return self._tokens.plain([text])[0]


def by_length(lengths: Sequence[int], tokens: int, most: int = sys.maxsize) -> list[list[int]]:
    """The numbers of sequences in groups of similar lengths, since shorter ones are padded: of so many tokens at most,
    unless a sequence alone has more, and of so many sequences.
    """
    groups: list[list[int]] = []
    for number in sorted(range(len(lengths)), key=lengths.__getitem__):  # the last of a group is its longest
        if groups and len(groups[-1]) < most and (len(groups[-1]) + 1) * lengths[number] <= tokens:
            groups[-1].append(number)
        else:
            groups.append([number])
    return groups


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
