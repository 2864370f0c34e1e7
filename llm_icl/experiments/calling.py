"""Connections to language models, and spending limits."""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from llm_icl.asking.batches import Batches, BesideBatches
from llm_icl.asking.budget import Budget
from llm_icl.asking.cache import CallCache
from llm_icl.asking.channels import Channel
from llm_icl.asking.intents import bury
from llm_icl.asking.sending import Sender
from llm_icl.backends import LanguageModel, ModelEntry, backends
from llm_icl.backends.hosted.model import BatchModel, RemoteModel
from llm_icl.config.specs import counted, whole_numbers
from llm_icl.errors import RequestError
from llm_icl.experiments.options import CallingOptions
from llm_icl.experiments.tally import Tally, add

# Next to the run: shared by all runs in a folder.
CACHE = "calls.sqlite"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """The maximum number of concurrent requests (None: adaptive), and spending limits."""

    at_once: int | None = None
    most_cost: float | None = None
    most_calls: int | None = None
    batch: bool = False

    @classmethod
    def of(cls, options: CallingOptions) -> "Limits":
        at_once = options.concurrency
        number = None if at_once == "auto" else whole_numbers("--concurrency", [at_once], 1)[0]
        return cls(number, options.max_cost, options.max_calls, options.batch)

    def check(self, models: Sequence[ModelEntry]) -> None:
        """Raise RequestError if a limit cannot be enforced."""
        for model in models:
            if self.most_cost is not None and backends.get(model.backend).priced and not model.price:
                raise RequestError(
                    f"--max-cost: the price of '{model.name}' is unknown; add it to your own catalogue, "
                    "or limit the calls with --max-calls"
                )

    def calling(self, cache: CallCache, account: str) -> "Calling":
        bury(cache)
        cost, calls = cache.unanswered(account)
        if calls:
            log.warning(
                "%s may have been charged without a reply (at most $%.4f): counted towards the limits, and asked again",
                f"{counted(calls, 'earlier request')} of this run",
                cost,
            )
        budget = Budget(self.most_cost, self.most_calls, *cache.spent(account))
        return Calling(cache, account, budget, self.at_once, self.batch)


@dataclass(frozen=True)
class Calling:
    """How calls are made. Unlike the request, it does not affect replies."""

    cache: CallCache
    account: str
    budget: Budget
    at_once: int | None = None
    batch: bool = False

    @contextlib.contextmanager
    def channel(self, model: LanguageModel, tally: Tally) -> Iterator[Channel | None]:
        """The channel to a remote model, kept open for all its steps; None for a local model.

        Raises RequestError if --batch is set and the model has no batch interface.
        """
        if not isinstance(model, RemoteModel):
            if self.batch:
                raise RequestError("--batch: local models have no batch interface")
            yield None
            return
        sender = Sender(model, self.cache, self.account, self.budget, self.at_once)
        try:
            if self.batch or isinstance(model, BatchModel):
                batches = Batches(sender, self.cache, self.account, self.budget)
                yield batches if self.batch else BesideBatches(batches, sender)
            else:
                yield sender
        finally:
            add(tally.retries, sender.retries)
            add(tally.calls, {"new": -sender.shared, "cached": sender.shared})
            sender.close()

    def count_spending(self, tally: Tally) -> None:
        """What has been spent, and what may have been, over all resumptions."""
        tally.cost, tally.perhaps_paid = self.cache.spent(self.account)[0], self.cache.unanswered(self.account)[1]
