"""What a training run is asked to do, and the problems that it is fed."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from llm_icl.errors import RequestError
from llm_icl.files import file_name
from llm_icl.function_classes import draw_problems
from llm_icl.learners import learners
from llm_icl.problems import PROBLEMS_VERSION, Problems, Task
from llm_icl.request import digest
from llm_icl.versions import versions
from local_models.backbone import Backbone, Shape, parameter_count, width_for
from local_models.trainer import Batch, Plan

# Problems for training and for trying the model come from other seeds than any evaluation's: none is met twice.
_TRAINING, _HELD_OUT = 2**31, 2**30
_HELD_OUT_PROBLEMS = 512
# Exact Bayes answers so many of the held-out problems; it may take long.
_BAYES_PROBLEMS = 128


@dataclass(frozen=True)
class TrainingRequest:
    """Everything that a training run is asked to do. Several tasks are mixed, problem by problem."""

    tasks: tuple[Task, ...]
    n: int
    points: int
    batch: int
    shape: Shape
    plan: Plan

    def record(self) -> dict[str, Any]:
        return {
            "tasks": [dataclasses.asdict(task) for task in self.tasks],
            "n": [self.n],
            "points": self.points,
            "batch": self.batch,
            "shape": self.shape.record(),
            "plan": dataclasses.asdict(self.plan),
            "versions": {"problems": PROBLEMS_VERSION, "llm-icl": versions()["llm-icl"]},
        }

    def directory_name(self) -> str:
        tasks = file_name("+".join(task.name for task in self.tasks))[:60]
        return f"train-{self.shape.architecture}-{tasks}-n{self.n}-{digest(self.record())}"

    def batches(self, step: int) -> Batch:
        """The batch of a step: the same whenever it is asked for."""
        return self._mixed(_TRAINING, range(step * self.batch, (step + 1) * self.batch))

    def held_out(self) -> Batch:
        """Problems that training never sees."""
        return self._mixed(_HELD_OUT, range(_HELD_OUT_PROBLEMS))

    def ceilings(self) -> dict[str, dict[str, float]]:
        """How exact Bayes, where it can be had, and nearest neighbours do on held-out problems: accuracy over all
        points and over their last half, each task counting the same.
        """
        found = {}
        for name in ("bayes", "bayes-labels", "nearest-neighbour"):
            learner = learners.get(name)()
            if any(learner.refusal(task, self.n) for task in self.tasks):
                continue
            right = []
            for task in self.tasks:
                problems = draw_problems(task, self.n, self.points, _BAYES_PROBLEMS, _HELD_OUT + self.plan.seed)
                right.append(learner.answer(problems).prediction == problems.ys)
            both = np.concatenate(right)
            found[name] = {"accuracy": float(both.mean()), "last_half": float(both[:, self.points // 2 :].mean())}
        return found

    def parameters(self) -> int:
        with torch.device("meta"):
            return parameter_count(Backbone(self.shape))

    def _mixed(self, stream: int, numbers: range) -> Batch:
        """Problem i is one of task i modulo the number of tasks."""
        parts = [
            draw_problems(task, self.n, self.points, numbers[k :: len(self.tasks)], stream + self.plan.seed)
            for k, task in enumerate(self.tasks)
            if numbers[k :: len(self.tasks)]
        ]
        return Batch(*(torch.from_numpy(np.concatenate(arrays)) for arrays in zip(*map(_arrays, parts), strict=True)))


def _arrays(problems: Problems) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return problems.xs, problems.shown, problems.ys


def shape_for(architecture: str, n: int, points: int, layers: int, width: int, parameters: int | None) -> Shape:
    """The shape of a model for problems of this size; with a number of parameters, of the width that comes nearest.

    Raises RequestError for an unknown architecture, or a width or number that does not suit it.
    """
    shape = Shape(architecture, inputs=n + 1, layers=layers, width=width, tokens=2 * points)
    try:
        if parameters is not None:
            shape = dataclasses.replace(shape, width=width_for(shape, parameters))
        with torch.device("meta"):
            Backbone(shape)
    except (ValueError, RuntimeError) as problem:
        raise RequestError(str(problem)) from None
    return shape
