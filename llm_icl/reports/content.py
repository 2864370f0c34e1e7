"""What a report says, before it is laid out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from llm_icl.analysis.cells import Cell, arrange
from llm_icl.analysis.scores import TARGET, Score, agreement, difference, score
from llm_icl.errors import RequestError
from llm_icl.problems import PROBLEMS_VERSION, SHUFFLED
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
    """One cell: its scores, in the order of the mean accuracy, and what is said in words."""

    cell: Cell
    scores: list[Score]
    sentences: list[str]


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
    frame = pl.concat([run.predictions() for run in runs])
    sections = [_section(cell) for cell in arrange(frame)]
    samples = [sample for run in runs for sample in _samples(run, frame)]
    tasks = list(dict.fromkeys(section.cell.task for section in sections))
    return Content(
        " and ".join(tasks) if len(tasks) < 4 else f"{len(tasks)} tasks", sections, samples, _notes(records), records
    )


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _section(cell: Cell) -> Section:
    scores = sorted((score(cell, learner) for learner in cell.learners), key=lambda s: -s.average.value)
    return Section(cell, scores, [sentence for name in cell.models for sentence in _sentences(cell, name)])


def _sentences(cell: Cell, model: str) -> list[str]:
    """What the intervals say of one language model: does it learn, from what, how far from the best, like whom."""
    scores = {name: score(cell, name) for name in cell.learners}
    mine = scores[model]
    said = [
        f"{model} answers {percent(mine.average.value)} of all queries right, {percent(mine.last.value)} of the last ones."
    ]
    comparisons = [
        ("best-constant", "the best constant", "so it uses the examples", "so nothing shows that it uses the examples"),
        (
            cell.control_of(model),
            "itself with shuffled labels",
            "so the labels matter to it",
            "so nothing shows that the labels matter to it",
        ),
        ("nearest-neighbour", "nearest neighbour", "", ""),
    ]
    for other, called, above, not_above in comparisons:
        if other not in cell.learners:
            continue
        gain = difference(cell, model, other)
        where = "above" if gain.low > 0 else "below" if gain.high < 0 else "not distinguishable from"
        meaning = above if gain.low > 0 else not_above
        interval = f"{100 * gain.value:+.1f} points, {100 * gain.low:+.1f} to {100 * gain.high:+.1f}"
        said.append(f"It is {where} {called} ({interval}){', ' + meaning if meaning else ''}.")
    for ceiling, called in (("bayes-labels", "exact Bayes from the labels"), ("bayes", "exact Bayes")):
        if ceiling in cell.learners:
            gap = difference(cell, ceiling, model)
            said.append(
                f"{called[0].upper()}{called[1:]} is {100 * gap.value:.1f} points better ({100 * gap.low:.1f} to {100 * gap.high:.1f})."
            )
            break
    names, shares = agreement(cell, ~cell.seen if (~cell.seen).any() else None)
    row = shares[names.index(model)]
    others = [
        (row[i], name) for i, name in enumerate(names) if name != model and name not in cell.models and row[i] == row[i]
    ]
    others = [(share, name) for share, name in others if SHUFFLED not in name]
    if others:
        share, closest = max(others)
        said.append(f"On queries not seen before it agrees most with {closest} ({percent(share)}).")
    return said


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
        title = f"{exchange['learner']}, {exchange['task']}, n = {exchange['n']}, prompt {exchange['prompt']}, problem {exchange['problem']}"
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
        "bayes knows how the inputs were drawn (the ceiling of a model trained on the task); bayes-labels learns from the "
        "labels only (the fair ceiling of a language model).",
        f"Examples needed: the first position at which a rising curve through the accuracies is at {100 * TARGET:.0f} %.",
        "Shuffled labels: the same prompts with each problem's labels in another order.",
    ]
    for record in records:
        for task in record["request"]["tasks"]:
            kept = "dropped" if task["drop_constant"] else "kept"
            notes.append(f"Task {task['name']}: constant functions are {kept}.")
        notes += [f"Left out: {reason}." for reason in record["skipped"]]
        for mode in record["modes"]:
            because = f" ({'; '.join(mode['because'])})" if mode["because"] else ""
            notes.append(
                f"{mode['learner']} on {mode['cell']}, prompt {mode['prompt']}: asked in the mode {mode['mode']}{because}."
            )
    return list(dict.fromkeys(notes))
