"""The request of a training run, and its training problems."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from llm_icl.config.files import file_name
from llm_icl.errors import RequestError
from llm_icl.learners import learners
from llm_icl.networks.shapes import is_pretrained
from llm_icl.problems import PROBLEMS_VERSION, Problems, Task
from llm_icl.runs.opening import digest
from llm_icl.runs.versions import versions
from llm_icl.tasks.drawing import MAX_PROBLEMS, draw_problems
from local_models.backbone import Shape
from local_models.trainer import Batch, Schedule, has_bfloat16, kept_steps

# Incremented when the same request would train on, or be validated on, other problems.
_STREAMS_VERSION = 2
HELD_OUT_PROBLEMS = 256
# Problems drawn to check whether teaching sequences fit.
_TRIED = 2000
# A curriculum reaches full-size problems after this fraction of the steps.
_GROWING = 0.5


@dataclass(frozen=True)
class TrainingRequest:
    """The complete request of a training run. Several tasks are mixed, problem by problem.

    The network is validated on `tests` during training. With a curriculum, problems begin with `start_n` bits and
    `start_points` points, and grow to n and points over the first half of the steps; the missing bits
    are 0 in the input, where bits are ±1.
    """

    tasks: tuple[Task, ...]
    tests: tuple[Task, ...]
    n: int
    points: int
    batch: int
    shape: Shape
    schedule: Schedule
    start_n: int
    start_points: int
    keep_checkpoints: bool = False
    bfloat16: bool = False

    def record(self) -> dict[str, Any]:
        chosen = {"keep_checkpoints": self.keep_checkpoints, "bfloat16": self.bfloat16}
        return {
            "tasks": [dataclasses.asdict(task) for task in self.tasks],
            "tests": [dataclasses.asdict(task) for task in self.tests],
            "n": [self.n],
            "points": self.points,
            "batch": self.batch,
            "shape": self.shape.record(),
            "plan": dataclasses.asdict(self.schedule),
            "start_n": self.start_n,
            "start_points": self.start_points,
            "versions": {"problems": PROBLEMS_VERSION, "streams": _STREAMS_VERSION, "llm-icl": versions()["llm-icl"]},
            **{name: True for name, on in chosen.items() if on},
        }

    def directory_name(self) -> str:
        tasks = file_name("+".join(task.name for task in self.tasks))[:60]
        return f"train-{file_name(self.shape.architecture)}-{tasks}-n{self.n}-{digest(self.record())}"

    def batches(self, step: int) -> Batch:
        """The batch of a step: deterministic. Problem i belongs to task i modulo the number of tasks."""
        numbers = range(step * self.batch, (step + 1) * self.batch)
        n, points = self.size_at(step)
        parts = [
            draw_problems(task, n, points, some, self.schedule.seed, "training")
            for k, task in enumerate(self.tasks)
            if (some := numbers[k :: len(self.tasks)])
        ]
        return _joined(parts)

    def size_at(self, step: int) -> tuple[int, int]:
        """n and points of the problems of a step."""
        grown = min(1.0, step / (_GROWING * self.schedule.steps))
        n = round(self.start_n + grown * (self.n - self.start_n))
        return n, round(self.start_points + grown * (self.points - self.start_points))

    def check(self) -> None:
        """Raise RequestError if a task cannot be drawn at this size, checked on a sample before anything is written.

        (Rare formulas may have longer teaching sequences than the sample.)
        """
        if self.schedule.steps * self.batch > MAX_PROBLEMS:
            raise RequestError(
                f"{self.schedule.steps} steps with a batch of {self.batch} take more than the 2^32 problems of a seed"
            )
        if self.bfloat16 and not torch.cuda.is_available() and is_pretrained(self.shape):
            raise RequestError("--bfloat16: the attention of pretrained models is slower in bfloat16 on a CPU")
        if self.bfloat16 and not torch.cuda.is_available() and not has_bfloat16():
            raise RequestError(
                "--bfloat16: this processor has no instructions for it (AVX512_BF16 or AMX), and would be slower than "
                "with float32"
            )
        for step in (0, self.schedule.steps - 1):
            n, points = self.size_at(step)
            for task in self.tasks:
                draw_problems(task, n, points, _TRIED if task.teaching else 1, self.schedule.seed, "training")
        self.held_out()

    def held_out(self) -> dict[str, Batch]:
        """Problems of a stream that training does not draw from, by task."""
        return {task.name: _joined([self.held_out_problems(task)]) for task in self.tests}

    def ceilings(self) -> dict[str, dict[str, dict[str, float]]]:
        """The references on the same held-out problems, exact Bayes if available and nearest neighbour: by task and
        learner, the accuracy over all points and over their last half.
        """
        found: dict[str, dict[str, dict[str, float]]] = {}
        for task in self.tests:
            problems, found[task.name] = self.held_out_problems(task), {}
            for name in ("bayes", "bayes-labels", "nearest-neighbour"):
                learner = learners.get(name)()
                if not learner.refusal(task, self.n):
                    right = learner.answer(problems).prediction == problems.ys
                    last = right[:, self.points // 2 :]
                    found[task.name][name] = {"accuracy": float(right.mean()), "last_half": float(last.mean())}
        return found

    @property
    def kept_steps(self) -> list[int]:
        """The steps whose networks are kept."""
        return kept_steps(self.schedule.steps) if self.keep_checkpoints else []

    def held_out_problems(self, task: Task) -> Problems:
        return draw_problems(task, self.n, self.points, HELD_OUT_PROBLEMS, self.schedule.seed, "validation")


def _joined(parts: Sequence[Problems]) -> Batch:
    xs, shown, ys = (np.concatenate([getattr(part, key) for part in parts]) for key in ("xs", "shown", "ys"))
    return Batch(torch.from_numpy(xs), torch.from_numpy(shown), torch.from_numpy(ys))
