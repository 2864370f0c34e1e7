"""Asks language models the questions of an experiment."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from llm_icl.asking.answers import AnsweredPlan, answer_plan, missing_requests
from llm_icl.asking.batches import Batches
from llm_icl.asking.cache import call_key
from llm_icl.asking.channels import Channel, LocalChannel, SilentChannel
from llm_icl.asking.modes.base import Plan
from llm_icl.asking.plan import plan_for
from llm_icl.backends import LanguageModel, ModelEntry
from llm_icl.backends.base import WritingModel
from llm_icl.backends.hosted.model import RemoteModel
from llm_icl.backends.pool import ModelPool
from llm_icl.errors import BudgetSpentError, WorkError
from llm_icl.experiments.calling import Calling
from llm_icl.experiments.tally import Tally
from llm_icl.problems import Problems
from llm_icl.progress import OnProgress
from llm_icl.prompting.templates import Prompt

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Questions:
    """What a language model is asked in one step of an experiment: some positions of problems, as they are shown."""

    cell: str
    prompt: Prompt
    shown: Problems
    positions: Sequence[int]
    mode: str = "auto"
    repeats: int = 1

    def plan(self, model: LanguageModel) -> Plan:
        """Raises RequestError if the mode is not possible."""
        return plan_for(model, self.prompt, self.shown, self.positions, self.mode, self.repeats)


class Asker:
    """The connections of one execution, and what they counted. Replies come from the cache where it has them."""

    def __init__(self, pool: ModelPool, calling: Calling, tally: Tally, on_progress: OnProgress) -> None:
        self._pool, self._calling, self._tally, self._on_progress = pool, calling, tally, on_progress

    @contextmanager
    def model(
        self, entry: ModelEntry, questions: Callable[[], Iterable[Questions]]
    ) -> Iterator[tuple[LanguageModel, Channel | None]]:
        """A language model during its steps, with a channel if it is remote; with --batch, all its requests are
        submitted first.
        """
        model = self._pool.get(entry)
        self._tally.models[entry.name] = model.identity()
        if model.priced and not entry.price and entry.name not in self._tally.unpriced:
            self._tally.unpriced.append(entry.name)
        try:
            with self._calling.channel(model, self._tally) as channel:
                if isinstance(channel, Batches):
                    for each in questions():
                        channel.submit(missing_requests(each.plan(model), model.identity(), self._calling.cache))
                yield model, channel
        finally:
            self._tally.models[entry.name] = model.identity() | model.found()

    def ask_all(self, channel: Channel | None, steps: Iterable[Callable[[Channel | None], None]], alone: bool) -> None:
        """All steps of a model, each with the channel. If one fails, the others are asked nevertheless, and have no
        answers; a model that is alone stops with the error.
        """
        for step in steps:
            try:
                step(channel)
            except BudgetSpentError:
                raise
            except WorkError as problem:
                if alone:
                    raise
                log.warning("%s", problem)
                channel = SilentChannel(str(problem))
                step(channel)

    def answers(
        self, name: str, model: LanguageModel, channel: Channel | None, questions: Questions
    ) -> tuple[Plan, AnsweredPlan]:
        """A model's answers (N, P), from the cache as far as possible."""
        cache = self._calling.cache
        plan = questions.plan(model)
        if channel is None:
            assert isinstance(model, WritingModel)
            channel = LocalChannel(name, model, plan, cache)
        whole, done = len({call_key(model.identity(), call.request.data()) for call in plan.calls}), 0

        def on_calls(calls: int, what: str) -> None:
            nonlocal done
            done += calls
            self._on_progress(f"{questions.cell}: {name}{f' ({what})' if what else ''}", done, whole)

        def on_known() -> None:
            if isinstance(model, RemoteModel):
                model.answered_earlier = True

        answered = answer_plan(
            plan, model.identity(), questions.prompt, questions.shown, questions.positions, cache, channel, on_calls,
            on_known,
        )  # fmt: skip
        return plan, answered

    def count(self, name: str, questions: Questions, plan: Plan, answered: AnsweredPlan) -> None:
        """Count the answers of a step that was not finished before."""
        if answered.without_probability and np.isnan(answered.answers.probability).all():
            reason = max(answered.without_probability, key=answered.without_probability.__getitem__)
            log.warning("%s: no probabilities from %s (%s)", questions.cell, name, reason)
        self._tally.count(name, questions.cell, questions.prompt.name, plan, answered)
