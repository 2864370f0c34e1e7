"""What an evaluation counts while it asks, for its run.json."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from llm_icl.asking.answers import AnsweredPlan
from llm_icl.asking.modes.base import Plan
from llm_icl.experiments.evaluation.steps import Step


@dataclass
class Tally:
    """The part of run.json that is an evaluation's own."""

    models: dict[str, Any] = field(default_factory=dict)
    """Of each language model: what it is, as the backend and the provider say."""
    networks: dict[str, Any] = field(default_factory=dict)
    """Of each trained network: what it was trained on, what that took, how it went."""
    modes: list[dict[str, Any]] = field(default_factory=list)
    """How each model was asked in each setting, and why in no better mode."""
    skipped: list[str] = field(default_factory=list)
    """Default learners that were left out, and why."""
    calls: dict[str, int] = field(default_factory=lambda: {"new": 0, "cached": 0})
    """Calls that were made, and that the cache answered."""
    retries: dict[str, int] = field(default_factory=dict)
    """Further attempts by what made them necessary: overload, timeout, connection, reply, server."""
    tokens: dict[str, int] = field(default_factory=dict)
    """Tokens of all replies by kind, those from the cache too."""
    failed: dict[str, int] = field(default_factory=dict)
    """Calls without an answer by reason; the same command makes them again."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Seconds that each learner took."""
    cost: float = 0.0
    """US dollars that the run has spent, all its starts together."""

    @classmethod
    def resumed(cls, earlier: dict[str, Any]) -> "Tally":
        """What an earlier start had counted."""
        return cls(**{key: earlier[key] for key in cls.__dataclass_fields__ if key in earlier})

    def data(self) -> dict[str, Any]:
        return asdict(self)

    def count_step(self, step: Step, plan: Plan, answered: AnsweredPlan) -> None:
        """How a model was asked in a step; its calls, tokens and failures."""
        job = step.job
        assert job.prompt is not None
        mode = {"learner": job.name, "cell": str(step.setting), "prompt": job.prompt.name, "mode": plan.mode}
        self.modes.append(mode | {"because": list(plan.reasons), "agreement": answered.agreement})
        self.calls["new"] += answered.new
        self.calls["cached"] += len(plan.calls) - answered.new
        add(self.failed, dict.fromkeys(answered.failures, 0))
        for failure in answered.failures:
            self.failed[failure] += 1
        add(self.tokens, answered.usage)


def add(counts: dict[str, Any], more: Mapping[str, Any]) -> None:
    for kind, count in more.items():
        counts[kind] = counts.get(kind, 0) + count
