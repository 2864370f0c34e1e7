"""The options of a training run, as a command line or a suite gives them."""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_icl.errors import RequestError

if TYPE_CHECKING:
    from llm_icl.experiments.training.request import TrainingRequest

OPTIMISERS = ("muon", "adamw", "adam")


@dataclass(frozen=True)
class TrainingOptions:
    """What is not said (None): the rate and optimiser that suit the network, problems of full size from the start, and
    tests on the tasks themselves.
    """

    task: tuple[str, ...]
    architecture: str = "transformer"
    test: tuple[str, ...] = ()
    n: int = 5
    points: int = 40
    layers: int = 3
    width: int = 64
    parameters: str | int | None = None
    steps: int = 2000
    batch_size: int = 64
    optimiser: str | None = None
    rate: float | None = None
    stop_at: float = 1.0
    evaluate_every: int = 100
    start_n: int | None = None
    start_points: int | None = None
    seed: int = 0

    def request(self, tasks_dir: Path | None = None) -> "TrainingRequest":
        """Raises RequestError for the first wrong option."""
        from llm_icl.config.specs import parse_specs
        from llm_icl.experiments.training.request import TrainingRequest
        from llm_icl.networks.shapes import is_pretrained, shape_for
        from llm_icl.tasks.cards import load_task
        from local_models.trainer import Schedule

        self._check()
        architectures = parse_specs([self.architecture])
        if len(architectures) != 1:
            raise RequestError(f"one architecture at a time, not '{self.architecture}'")
        parameters = None if self.parameters is None else _count(str(self.parameters))
        shape = shape_for(
            architectures[0], self.n, self.points, self.layers, self.width, parameters, self.seed
        )  # fmt: skip
        tasks = tuple(load_task(spec, tasks_dir) for spec in parse_specs(self.task))
        # A pretrained model comes undone at the rates that suit a small new one.
        optimiser, rate = ("adamw", 1e-3) if is_pretrained(shape) else ("muon", 8e-3)
        schedule = Schedule(
            self.steps, self.optimiser or optimiser, self.rate or rate, seed=self.seed,
            evaluate_every=self.evaluate_every, stop_at=self.stop_at,
        )  # fmt: skip
        request = TrainingRequest(
            tasks=tasks,
            tests=tuple(load_task(spec, tasks_dir) for spec in parse_specs(self.test)) or tasks,
            n=self.n,
            points=self.points,
            batch=self.batch_size,
            shape=shape,
            schedule=schedule,
            start_n=self.start_n or self.n,
            start_points=self.start_points or self.points,
        )
        request.check()
        return request

    def _check(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            kind = field.type.__name__ if isinstance(field.type, type) else str(field.type)
            wanted, right = _KINDS.get(kind, ("", lambda _: True))
            if field.name != "seed" and not right(value):
                raise RequestError(f"{field.name.replace('_', '-')} must be {wanted}, not {value!r}")
        for start, end in (("start_n", "n"), ("start_points", "points")):
            if (getattr(self, start) or 1) > getattr(self, end):
                raise RequestError(
                    f"{start.replace('_', '-')} {getattr(self, start)} is above {end} {getattr(self, end)}"
                )
        if self.points < 2:
            raise RequestError("points must be at least 2")
        if self.optimiser is not None and self.optimiser not in OPTIMISERS:
            raise RequestError(f"optimiser is one of {', '.join(OPTIMISERS)}, not '{self.optimiser}'")
        if self.stop_at > 1:
            raise RequestError(f"stop-at {self.stop_at} is out of range: it is an accuracy, at most 1")
        if type(self.seed) is not int or not 0 <= self.seed < 2**30:
            raise RequestError(f"seed {self.seed} is out of range: 0 to {2**30 - 1}")


def _whole(value: Any) -> bool:
    return type(value) is int and value > 0


def _positive(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value < math.inf


_KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "int": ("a whole number of at least 1", _whole),
    "int | None": ("a whole number of at least 1", lambda value: value is None or _whole(value)),
    "float": ("a number above 0", _positive),
    "float | None": ("a number above 0", lambda value: value is None or _positive(value)),
    "str": ("text", lambda value: isinstance(value, str)),
    "tuple[str, ...]": ("task names", lambda value: all(isinstance(name, str) for name in value)),
}


def _count(text: str) -> int:
    """200k, 1.5M or a plain number."""
    factor = {"k": 1e3, "m": 1e6}.get(text[-1:].lower(), 1.0)
    try:
        number = float(text if factor == 1.0 else text[:-1]) * factor
    except ValueError:
        number = 0.0
    if not 1 <= number < 1e12:
        raise RequestError(f"'{text}' is no number of parameters: write 200k or 1.5M")
    return int(number)
