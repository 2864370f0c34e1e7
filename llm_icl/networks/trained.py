"""A trained network as a learner: `--model outputs/RUN` after `llm-icl train`."""

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from llm_icl.errors import RequestError, WorkError
from llm_icl.learners.base import Learner
from llm_icl.problems import Answers, Bits, Problems, Task
from llm_icl.runs import readable

if TYPE_CHECKING:
    from local_models.backbone import Network


@dataclass(frozen=True)
class TrainedNetwork(Learner):
    """P(y = 1) from the network of a training run, after all its steps or so many; one forward pass per problem."""

    name: str
    path: str
    fingerprint: str
    step: int | None = None

    def answer(self, problems: Problems) -> Answers:
        self._check(problems.task, problems.n, problems.points)
        # One problem at a time: results do not depend on the batch.
        each = zip(problems.xs, problems.shown, strict=True)
        return Answers.from_probability(np.stack([self._probability(xs[None], shown[None])[0] for xs, shown in each]))

    def answer_queries(self, contexts: Problems, queries: Bits) -> Answers:
        self._check(contexts.task, contexts.n, contexts.points + 1)
        probability = np.empty(queries.shape[:2])
        for i in range(len(contexts)):  # one context at a time, all its queries together
            problems = contexts[i : i + 1].followed_by(queries[i : i + 1])
            probability[i] = self._probability(problems.xs, problems.shown)[:, -1]
        return Answers.from_probability(probability)

    def _check(self, task: Task, n: int, points: int) -> None:
        if refusal := self.refusal(task, n, points):
            raise RequestError(refusal)

    def _probability(self, xs: Bits, shown: Bits) -> NDArray[np.float64]:
        """P(y = 1) at all positions of xs (B, m, n) with labels shown (B, m), in one forward pass: (B, m)."""
        import torch

        from local_models.threads import suited_to
        from local_models.trainer import Batch, logits

        network, points, labels = self.load(), torch.from_numpy(xs), torch.from_numpy(shown)
        with torch.no_grad(), suited_to(network):
            probability = logits(network, Batch(points, labels, labels)).sigmoid().double().numpy()
        if not np.isfinite(probability).all():
            raise WorkError(f"{self.name}: an output is not finite")
        return probability

    def load(self) -> "Network":
        """The network itself. Raises RequestError if its checkpoint is corrupt."""
        return _load(self.path, self.fingerprint)

    @property
    def n(self) -> int:
        """The number of input bits."""
        return self.load().shape.inputs - 1

    @property
    def points(self) -> int | None:
        """The maximum number of points per problem; None without limit."""
        longest = self.load().longest
        return None if longest is None else longest // 2

    def about(self) -> dict[str, Any]:
        """The training record of the network, for reports."""
        path = Path(self.path)
        return about_network(path.parent if self.step is None else path.parents[1], self.step)

    def refusal(self, task: Task, n: int, points: int = 1) -> str:
        """Why the network is not applicable to problems of this size; empty if it is."""
        if self.n != n:
            return f"{self.name} was trained for n = {self.n}, not n = {n}"
        if self.points is not None and points > self.points:
            return f"{self.name} supports at most {self.points} points, not {points}"
        return ""


def about_network(folder: Path, step: int | None = None) -> dict[str, Any]:
    """The training record of a run's network, or of that of an earlier step: tasks, cost, learning curve."""
    with readable(folder):
        return _about(folder, json.loads((folder / "run.json").read_text(encoding="utf-8")), step)


def _about(folder: Path, record: dict[str, Any], step: int | None) -> dict[str, Any]:
    from local_models.metrics import read_metrics

    request = record["request"]
    if step is None:
        spent, seconds = record, record["wall_seconds"]
    else:
        spent, seconds = next(kept for kept in record["kept"] if kept["steps"] == step), None
    return {
        "architecture": request["shape"]["architecture"],
        "trained_on": [task["name"] for task in request["tasks"]],
        "seed": request["plan"]["seed"],
        "parameters": record["parameters"],
        "frozen": record["frozen"],
        "steps": spent["steps"],
        "tokens": spent["tokens"],
        "flops": spent["flops"],
        "wall_seconds": seconds,
        "ceilings": record["ceilings"],
        "metrics": [line for line in read_metrics(folder) if line["step"] <= spent["steps"]],
    }


def find_trained(text: str) -> TrainedNetwork | None:
    """The network of a training run's folder, or with FOLDER@STEP the one that it kept of a step; None if it is not
    one. Raises RequestError if the run is unfinished, if its checkpoint is corrupt, or if it kept none of this step.
    """
    folder, record = _training(text)
    step = ""
    if not record and "@" in text:
        name, _, step = text.rpartition("@")
        folder, record = _training(name)
    if not record:
        return None
    if record.get("status") != "complete":
        raise RequestError(f"{folder} is an unfinished training run: re-run its command to resume it")
    kept = [str(one["steps"]) for one in record.get("kept", [])]
    if step and not kept:
        raise RequestError(f"{folder} kept no checkpoints: train with --keep-checkpoints")
    if step and step not in kept:
        raise RequestError(f"{folder} kept no checkpoint of step '{step}': known are {', '.join(kept)}")
    network = network_at(folder, int(step) if step else None)
    with readable(folder):
        network.load()
    return network


def network_at(folder: Path, step: int | None = None) -> TrainedNetwork:
    """The network of a run, or of a step that it kept. Raises RequestError if there is none."""
    from local_models.trainer import CHECKPOINT, kept_path

    path = folder / CHECKPOINT if step is None else kept_path(folder, step)
    if not path.is_file():
        raise RequestError(f"{folder} contains no checkpoint{'' if step is None else f' of step {step}'}")
    name = folder.name if step is None else f"{folder.name}@{step}"
    return TrainedNetwork(name, str(path), hashlib.sha256(path.read_bytes()).hexdigest(), step)


def _training(text: str) -> tuple[Path, dict[str, Any]]:
    """A folder and its record, empty if it is not of a training run."""
    folder = Path(text).expanduser()
    try:
        record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return folder, {}
    return folder, record if isinstance(record, dict) and record.get("kind") == "train" else {}


@lru_cache(maxsize=2)
def _load(path: str, _fingerprint: str) -> "Network":
    from llm_icl.networks.shapes import build
    from local_models.checkpoints import CheckpointError, restore, shape_of

    try:
        model = build(shape_of(Path(path)), seed=0)
        restore(Path(path), model)
    except CheckpointError as problem:
        raise RequestError(str(problem)) from None
    return model.eval()
