"""Spending limits and the number of concurrent requests; what calls hosted models is loaded when one is called."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llm_icl.backends import ModelEntry, backends
from llm_icl.config.specs import counted, whole_numbers
from llm_icl.errors import RequestError
from llm_icl.experiments.options import CallingOptions

if TYPE_CHECKING:
    from llm_icl.asking.cache import CallCache
    from llm_icl.experiments.calling import Calling

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
                where = f" at {model.base_url}" if model.base_url else ""
                raise RequestError(
                    f"--max-cost: the price of '{model.name}'{where} is unknown; add it to your own catalogue"
                    f"{', beside its base-url' if where else ''}, or limit the calls with --max-calls"
                )

    def calling(self, cache: "CallCache", account: str) -> "Calling":
        from llm_icl.asking.budget import Budget
        from llm_icl.asking.intents import bury
        from llm_icl.experiments.calling import Calling

        bury(cache)
        cost, calls = cache.unanswered(account)
        if calls:
            log.warning(
                "%s of this run may have been charged without a reply (%s): counted, and asked again",
                counted(calls, "earlier request"), f"at most ${cost:.4f}" if cost else "at a price that is unknown",
            )  # fmt: skip
        budget = Budget(self.most_cost, self.most_calls, *cache.spent(account))
        return Calling(cache, account, budget, self.at_once, self.batch)
