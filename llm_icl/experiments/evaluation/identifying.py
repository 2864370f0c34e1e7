"""Which algorithm each language model and network of an evaluation runs: a verdict for each prompt, task and n."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from llm_icl.experiments.evaluation.request import Request
from llm_icl.experiments.evaluation.steps import Step
from llm_icl.experiments.likelihood import Likelihood, by_position
from llm_icl.problems import Problems


def algorithms_of(
    request: Request, steps: Sequence[Step], frames: Mapping[str, pl.DataFrame], problems_of: Callable[[Step], Problems]
) -> list[dict[str, Any]]:
    """From the predictions of all steps, by part."""
    networks = {network.name for network in request.trained}
    cells: dict[tuple[str, int], list[Step]] = {}
    for step in steps:
        cells.setdefault((step.setting.task.name, step.setting.n), []).append(step)
    found = []
    for (task, n), inside in cells.items():
        subjects: dict[tuple[str, str | None], list[Step]] = {}  # a step for each seed
        others: dict[str, list[Step]] = {}
        for step in inside:
            if step.job.learner is not None and step.job.name not in networks:
                others.setdefault(step.job.name, []).append(step)
            elif not step.job.shuffled:
                prompt = step.job.prompt.name if step.job.prompt else None
                subjects.setdefault((step.job.name, prompt), []).append(step)
        if not subjects:
            continue
        parts = [problems_of(step) for step in next(iter(subjects.values()))]
        asked = {name: _given(request, some, frames)[0] for name, some in others.items()}
        likelihood = Likelihood(parts, request.positions, asked)
        for (name, prompt), some in subjects.items():
            about = {"learner": name, "prompt": prompt, "task": task, "n": n}
            found.append(about | likelihood.verdict(*_given(request, some, frames)))
    return found


def _given(
    request: Request, steps: Sequence[Step], frames: Mapping[str, pl.DataFrame]
) -> tuple[NDArray[np.float64], bool]:
    """The answers of one learner to the problems of all seeds, (N, points): P(y = 1), or labels if it is unknown of any
    answer, NaN where there is none; and whether they are probabilities.
    """
    frame = pl.concat([frames[step.part] for step in steps])
    probability, label = (
        frame[column].cast(pl.Float64).fill_null(np.nan).to_numpy().reshape(-1, len(request.positions))
        for column in ("probability", "prediction")
    )
    known = not (np.isnan(probability) & ~np.isnan(label)).any()
    return by_position(probability if known else label, request.positions, request.points), known
