"""What a report says, before it is laid out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from llm_icl.analysis.cells import Cell, arrange
from llm_icl.analysis.scores import TARGET, Score, score
from llm_icl.errors import RequestError
from llm_icl.experiments.evaluation.reports.verdict import verdict, verdict_on_networks
from llm_icl.problems import PROBLEMS_VERSION, TASK_TEXTS
from llm_icl.runs import RunDirectory

# Sample exchanges shown for each language model in each cell.
_SAMPLES = 1


@dataclass(frozen=True)
class Sample:
    """One exchange with a model, and how its answers compare with the truth."""

    learner: str
    title: str
    text: str
    answers: list[tuple[int, int, str, str]]  # position, truth, what was answered, right or wrong


@dataclass(frozen=True)
class Section:
    """One cell: its scores, in the order of the mean accuracy, what is said in words, and what its networks tell of
    themselves, by name.
    """

    cell: Cell
    scores: list[Score]
    sentences: list[str]
    networks: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Content:
    title: str
    sections: list[Section]
    samples: list[Sample]
    notes: list[str]
    records: list[dict[str, Any]]

    @property
    def learners(self) -> list[str]:
        """All names, in one order for all figures."""
        return list(dict.fromkeys(name for section in self.sections for name in section.cell.learners))


def gather(runs: Sequence[RunDirectory]) -> Content:
    """Read finished runs. Raises RequestError where one of them is not, or where they cannot be compared."""
    records = [run.record for run in runs]
    for run, record in zip(runs, records, strict=True):
        if record.get("status") != "complete":
            raise RequestError(f"{run.path} holds no finished run")
        if record["request"]["versions"]["problems"] != PROBLEMS_VERSION:
            raise RequestError(f"{run.path} was drawn by another version of the problems: its points are not the same")
    laws: dict[str, Any] = {}
    for task in (task for record in records for task in record["request"]["tasks"]):
        law = {key: value for key, value in task.items() if key not in TASK_TEXTS}
        if laws.setdefault(task["name"], law) != law:
            raise RequestError(f"these runs mean different things by the task '{task['name']}'; report them apart")
    # Runs of an earlier version lack the column of agreement.
    frame = pl.concat([run.predictions() for run in runs], how="diagonal")
    names = {name for record in records for name in record.get("networks", {})}
    sections = [_section(cell, records) for cell in arrange(frame, names)]
    samples = [sample for run in runs for sample in _samples(run, frame)]
    tasks = list(dict.fromkeys(section.cell.task for section in sections))
    return Content(
        " and ".join(tasks) if len(tasks) < 4 else f"{len(tasks)} tasks", sections, samples, _notes(records), records
    )


def _section(cell: Cell, records: Sequence[dict[str, Any]]) -> Section:
    scores = sorted((score(cell, learner) for learner in cell.learners), key=lambda s: -s.average.value)
    sentences = [sentence for name in cell.models for sentence in verdict(cell, name)]
    networks: dict[str, dict[str, Any]] = {}
    for record in records:
        request = record["request"]
        if cell.n in request["n"] and cell.task in [task["name"] for task in request["tasks"]]:
            networks |= record.get("networks", {})
    return Section(cell, scores, [*sentences, *verdict_on_networks(cell)], networks)


def _samples(run: RunDirectory, frame: pl.DataFrame) -> list[Sample]:
    shown: dict[tuple[Any, ...], int] = {}
    samples = []
    for exchange in run.exchanges():
        key = (exchange["learner"], exchange["task"], exchange["n"], exchange["prompt"])
        if shown.get(key, 0) >= _SAMPLES:
            continue
        shown[key] = shown.get(key, 0) + 1
        rows = frame.filter(
            (pl.col("learner") == exchange["learner"])
            & (pl.col("task") == exchange["task"])
            & (pl.col("n") == exchange["n"])
            & (pl.col("seed") == exchange["seed"])
            & (pl.col("problem") == exchange["problem"])
            & (pl.col("prompt") == exchange["prompt"])
            & pl.col("position").is_in(exchange["positions"])
        ).sort("position")
        answers = [
            (row["position"], row["label"], _answer(row), "right" if row["prediction"] == row["label"] else "wrong")
            for row in rows.unique("position", maintain_order=True).iter_rows(named=True)
        ]
        title = "{learner}, {task}, n = {n}, prompt {prompt}, problem {problem}".format(**exchange)
        text = exchange["text"] + (exchange["reply"].get("text") or "")
        samples.append(Sample(exchange["learner"], title, text, answers))
    return samples


def _answer(row: dict[str, Any]) -> str:
    if row["probability"] is not None:
        return f"P(1) = {row['probability']:.3f}"
    return str(row["prediction"]) if row["prediction"] is not None else row["status"]


def _notes(records: Sequence[dict[str, Any]]) -> list[str]:
    """How to read the numbers, and what the reader must know of these runs."""
    notes = [
        "Intervals are 95 %, with the problem as the unit; differences are paired by problem.",
        "A learner answers 1 where P(y = 1) is above one half; a tie is answered 0.",
        "Nearest neighbour takes the earliest of several nearest examples unless its name says otherwise.",
        "bayes knows how the inputs were drawn: the ceiling of a model trained on the task.",
        "bayes-labels learns from the labels only: the fair ceiling of a language model.",
        f"Examples needed: where a rising curve through the accuracies is first at {100 * TARGET:.0f} %.",
        "Shuffled labels: the same prompts with each problem's labels in another order.",
    ]
    if any(record.get("networks") for record in records):
        notes.append(
            "FLOPs of networks: matrix products, convolutions, Fourier transforms, and products and sums number by "
            "number, of all forward and backward passes; the optimiser's own are not in it."
        )
    for record in records:
        for task in record["request"]["tasks"]:
            kept = "dropped" if task["drop_constant"] else "kept"
            notes.append(f"Task {task['name']}: constant functions are {kept}.")
        notes += [f"Left out: {reason}." for reason in record["skipped"]]
        notes += _modes(record["modes"])
    return list(dict.fromkeys(notes))


def _modes(modes: Sequence[dict[str, Any]]) -> list[str]:
    """How the models were asked, one note for each mode and reason."""
    asked: dict[str, list[str]] = {}
    for mode in modes:
        because = f" ({'; '.join(mode['because'])})" if mode["because"] else ""
        who = f"{mode['learner']} with prompt {mode['prompt']}"
        if mode.get("agreement") is not None:
            because += f", repeatedly, with an agreement of {100 * mode['agreement']:.1f} %,"
        where = asked.setdefault(f"{who}: asked in the mode {mode['mode']}{because} on ", [])
        where.append(mode["cell"])
    return [f"{how}{'; '.join(cells)}." for how, cells in asked.items()]
