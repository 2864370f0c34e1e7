"""Counts of calls, tokens and costs for a run.json."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from llm_icl.config.specs import counted

if TYPE_CHECKING:
    from llm_icl.asking.answers import AnsweredPlan
    from llm_icl.asking.modes.base import Plan


@dataclass
class Tally:
    """The fields of run.json about what was asked."""

    models: dict[str, Any] = field(default_factory=dict)
    """The identity of each language model, as reported by backend and provider."""
    networks: dict[str, Any] = field(default_factory=dict)
    """The training record of each trained network: tasks, cost, learning curve."""
    modes: list[dict[str, Any]] = field(default_factory=list)
    """The query mode of each model in each setting, why preferred modes were not possible, and how many answers have no
    probability, by reason."""
    skipped: list[str] = field(default_factory=list)
    """Skipped default learners, with reasons."""
    calls: dict[str, int] = field(default_factory=lambda: {"new": 0, "cached": 0})
    """The numbers of new and of cached calls."""
    retries: dict[str, int] = field(default_factory=dict)
    """Retries by cause: overload, timeout, connection, reply, server, parameter."""
    tokens: dict[str, int] = field(default_factory=dict)
    """Tokens of all replies by kind, including cached ones."""
    failed: dict[str, int] = field(default_factory=dict)
    """Failed calls by reason; re-running the command retries them."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Seconds per learner."""
    perhaps_paid: int = 0
    """Requests that may have been charged without a reply, over all resumptions: in flight when a process died, or lost
    with their connection. They count towards limits and cost with their maximum cost."""
    cost: float = 0.0
    """Total spending of the run in US dollars, over all resumptions; without that for `unpriced` models."""
    unpriced: list[str] = field(default_factory=list)
    """The models whose calls cost money, at prices that are not known."""

    @classmethod
    def resumed(cls, earlier: dict[str, Any]) -> "Tally":
        """The counts of the execution that is resumed."""
        return cls(**{key: earlier[key] for key in cls.__dataclass_fields__ if key in earlier})

    def data(self) -> dict[str, Any]:
        return asdict(self)

    def count(self, learner: str, cell: str, prompt: str, plan: "Plan", answered: "AnsweredPlan") -> None:
        """Add what a model was asked in a cell: the mode, calls, tokens and failures."""
        mode = {"learner": learner, "cell": cell, "prompt": prompt, "mode": plan.mode}
        without = dict(answered.without_probability)
        self.modes.append(
            mode | {"because": list(plan.reasons), "agreement": answered.agreement, "without_probability": without}
        )
        self.calls["new"] += answered.new
        self.calls["cached"] += len(plan.calls) - answered.new
        add(self.failed, dict.fromkeys(answered.failures, 0))
        for failure in answered.failures:
            self.failed[failure] += 1
        add(self.tokens, answered.usage)


def perhaps_paid(record: Mapping[str, Any]) -> str:
    """A report's words on requests that may have been charged without a reply; empty if there are none."""
    calls = record.get("perhaps_paid", 0)
    return f"{counted(calls, 'request')}, counted in the cost with the maximum" if calls else ""


def add(counts: dict[str, Any], more: Mapping[str, Any]) -> None:
    for kind, count in more.items():
        counts[kind] = counts.get(kind, 0) + count
