"""Connections to language models, within spending limits."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from llm_icl.asking.batches import Batches, BesideBatches
from llm_icl.asking.budget import Budget
from llm_icl.asking.cache import CallCache
from llm_icl.asking.channels import Channel
from llm_icl.asking.sending import Sender
from llm_icl.backends import LanguageModel
from llm_icl.backends.hosted.model import BatchModel, RemoteModel
from llm_icl.errors import RequestError
from llm_icl.experiments.tally import Tally, add


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
