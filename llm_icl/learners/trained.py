"""A network that was trained here as a learner: `--model outputs/RUN` after `llm-icl train`."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from llm_icl.errors import RequestError
from llm_icl.learners.base import Learner
from llm_icl.problems import Answers, Problems, Task


@dataclass(frozen=True)
class TrainedNetwork(Learner):
    """P(y = 1) as the network of a training run gives it; one forward pass answers all positions of a problem."""

    name: str
    path: str
    fingerprint: str

    def answer(self, problems: Problems) -> Answers:
        import torch

        from local_models.trainer import Batch, logits

        model = _load(self.path)
        if refusal := self._refusal(model.shape, problems.n, problems.points):
            raise RequestError(refusal)
        rows = []
        with torch.no_grad():
            for i in range(len(problems)):  # alone, so that its numbers do not depend on the company it is in
                xs, shown = torch.from_numpy(problems.xs[i : i + 1]), torch.from_numpy(problems.shown[i : i + 1])
                rows.append(logits(model, Batch(xs, shown, shown)).sigmoid()[0].double().numpy())
        return Answers.from_probability(np.stack(rows))

    def refusal(self, task: Task, n: int) -> str:
        return self._refusal(_load(self.path).shape, n, 1)

    def _refusal(self, shape: Any, n: int, points: int) -> str:
        """Why the network cannot answer problems of this size; empty where it can."""
        if shape.inputs != n + 1:
            return f"{self.name} was trained for n = {shape.inputs - 1}, not n = {n}"
        from local_models.backbone import longest

        tokens = longest(shape)
        if tokens is not None and 2 * points > tokens:
            return f"{self.name} holds problems of at most {tokens // 2} points, not {points}"
        return ""


def find_trained(text: str) -> TrainedNetwork | None:
    """The network of a training run's folder; None where it is no such folder. Raises RequestError where the run is not
    finished or its checkpoint is damaged.
    """
    folder = Path(text).expanduser()
    try:
        record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(record, dict) or record.get("kind") != "train":
        return None
    if record.get("status") != "complete":
        raise RequestError(f"{folder} holds a training run that is not finished: give its command again")
    path = folder / "checkpoint.safetensors"
    if not path.is_file():
        raise RequestError(f"{folder} holds no checkpoint")
    _load(str(path))
    return TrainedNetwork(folder.name, str(path), hashlib.sha256(path.read_bytes()).hexdigest())


def _load(path: str) -> Any:
    from local_models.checkpoints import CheckpointError, load_model

    try:
        return load_model(Path(path))[0].eval()
    except CheckpointError as problem:
        raise RequestError(str(problem)) from None
