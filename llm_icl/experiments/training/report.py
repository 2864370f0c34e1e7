"""The report of training runs: networks, and their accuracy vs. exact Bayes on held-out problems."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from llm_icl.config.specs import counted
from llm_icl.errors import RequestError
from llm_icl.experiments.provenance import provenance_of
from llm_icl.experiments.training.request import HELD_OUT_PROBLEMS
from llm_icl.learners.ceilings import ceiling_of, notes_on
from llm_icl.networks.trained import about_network
from llm_icl.problems import Task
from llm_icl.reports.algorithms import algorithms_notes, algorithms_table, badge, shares_over_training
from llm_icl.reports.algorithms import sentence as algorithm_of
from llm_icl.reports.colours import colours_of
from llm_icl.reports.document import Block, Card, Column, Finding, Paragraph, Report, Row, Section, Table
from llm_icl.reports.joined import joined
from llm_icl.reports.networks import FLOPS_NOTE, networks_table, training_curves
from llm_icl.reports.values import written
from llm_icl.runs import RunDirectory

# The references of a network; it is compared with the first available one.
_REFERENCES = {"bayes": "exact Bayes", "bayes-labels": "exact Bayes from the labels",
               "nearest-neighbour": "nearest neighbour"}  # fmt: skip
_NOTES = (
    "Accuracies are over held-out problems, the same ones for a network and its references; the last half of the "
    "points of each problem has the most in-context examples. Held-out problems have random numbers of their own; at "
    "small n, where functions and inputs are few, some of them equal a training problem by chance.",
    "These accuracies have no intervals: run llm-icl eval on the network for intervals, more problems and paired "
    "differences.",
    FLOPS_NOTE,
)
_ACCURACIES = (
    Column("learner", "learner", short=True),
    Column("all points", "accuracy", "share", True),
    Column("last half", "last_half", "share", True),
)
_COMPARED = (
    Column("network", "network", short=True),
    Column("task", "task", short=True),
    Column("n", "n", "count", True),
    Column("points", "points", "count", True),
    Column("all points", "accuracy", "share", True),
    Column("last half", "last_half", "share", True),
    Column("ceiling", "ceiling", short=True),
    Column("ceiling, last half", "ceiling_last_half", "share", True),
)


def report_of(runs: Sequence[RunDirectory]) -> Report:
    """One section per run, after a comparison of several runs. Raises RequestError for an unfinished run."""
    names = [run.path.resolve().name for run in runs]
    trained = [
        _Trained(run, name if names.count(name) == 1 else str(run.path)) for run, name in zip(runs, names, strict=True)
    ]
    whole = joined([one.report() for one in trained], "Networks trained to learn in context")
    if len(trained) == 1:
        return whole
    compared = tuple(row for one in trained for row in one.compared())
    took = networks_table({one.name: one.about for one in trained})
    first = Section(
        "All networks",
        "all",
        (Table("compared", "Accuracy on held-out problems, in percent", _COMPARED, compared), took),
    )
    return replace(whole, sections=(first, *whole.sections))


class _Trained:
    """One finished run."""

    def __init__(self, run: RunDirectory, name: str) -> None:
        self._record, self._path, self.name = run.record, run.path, name
        if self._record.get("status") != "complete":
            raise RequestError(f"{run.path} is not a finished training run")
        self.about = about_network(run.path)
        self._request = self._record["request"]
        self._n, self._points = self._request["n"][0], self._request["points"]
        self._tests = {task["name"]: Task(**task) for task in self._request["tests"]}
        self._scores: dict[str, dict[str, float]] = self._record["evaluation"]["tasks"]

    def report(self) -> Report:
        sections = [self._section(task, i) for i, task in enumerate(self._scores, 1)]
        asked = f"--task {next(iter(self._scores))} --n {self._n} --points {self._points}"
        evaluate = Paragraph(f"To evaluate it: llm-icl eval --model {self._path} {asked}")
        all_verdicts = [verdict for task in self._scores for verdict in self._algorithms(task)]
        took = (Paragraph(self._took()), evaluate, networks_table({self.name: self.about}))
        return Report(
            f"{self.name}: {self.about['architecture']} trained on {' + '.join(self.about['trained_on'])}",
            verdicts=tuple(map(self._accuracy, self._scores)),
            sections=(Section("Network and training", "trained", took), *sections),
            notes=(*_NOTES, *self._notes(), *algorithms_notes(all_verdicts)),
            provenance=(provenance_of(self._record),),
            cards=tuple(map(self._card, self._scores)),
        )

    def compared(self) -> list[Row]:
        """One row per validation task."""
        rows: list[Row] = []
        for task, score in self._scores.items():
            size = {"network": self.name, "task": task, "n": self._n, "points": self._points}
            ceiling = ceiling_of(self._references(task), self._tests[task], self._n)
            best = self._references(task).get(ceiling, {})
            reached = {"accuracy": score["accuracy"], "last_half": score["last_half"]}
            rows.append({**size, **reached, "ceiling": ceiling, "ceiling_last_half": best.get("last_half")})
        return rows

    def _section(self, task: str, number: int) -> Section:
        rows: list[Row] = [
            {"learner": name, "accuracy": score["accuracy"], "last_half": score["last_half"]}
            for name, score in {self.name: self._scores[task], **self._references(task)}.items()
        ]
        table = Table(
            "accuracies", "Accuracy on held-out problems, in percent", _ACCURACIES, tuple(rows), frozenset({self.name})
        )
        colours = colours_of([self.name, *_REFERENCES])
        drawn = training_curves({self.name: self.about}, task, _REFERENCES, colours)
        blocks: list[Block] = [table, drawn] if drawn else [table]
        if verdicts := self._algorithms(task):
            blocks.append(
                algorithms_table(Column("steps", "step", "count"), [(verdict["step"], verdict) for verdict in verdicts])
            )
            if len(verdicts) > 1 and "shares" in verdicts[-1]:
                named = {name for verdict in verdicts for name in verdict["shares"]}
                blocks.append(shares_over_training(verdicts, task, colours_of(named)))
        about = {"task": task, "n": self._n, "points": self._points}
        return Section(f"{task}, n = {self._n}", f"task-{number}", tuple(blocks), about=about)

    def _algorithms(self, task: str) -> list[dict[str, Any]]:
        """The verdicts on the algorithms of the kept networks and the last one; none in runs of earlier versions."""
        found: list[dict[str, Any]] = self._record.get("algorithms", {}).get(task, [])
        return found

    def _took(self) -> str:
        about, record = self.about, self._record
        frozen = f" and {about['frozen']:,} frozen ones" if about["frozen"] else ""
        steps = counted(about["steps"], "step")
        return (
            f"{about['architecture']} with {about['parameters']:,} parameters{frozen}, trained for {steps} of "
            f"{counted(self._request['batch'], 'problem')} with {self._points} points and n = {self._n}; "
            f"{record['tokens']:,} tokens, {written(record['flops'], 'power')} FLOPs, {record['wall_seconds']:.0f} s."
        )

    def _card(self, task: str) -> Card:
        """Without intervals: nothing about the distance is clear."""
        verdicts = self._algorithms(task)
        untold = Finding("can't tell", "Nothing was computed about it; `llm-icl identify` finds out.")
        algorithm = Finding(badge(verdicts[-1]), algorithm_of(verdicts[-1])) if verdicts else untold
        ceiling = ceiling_of(self._references(task), self._tests[task], self._n)
        distance = Finding("can't tell", "No best possible learner is known here.")
        if ceiling:
            gaps = [self._references(task)[ceiling][key] - self._scores[task][key] for key in ("accuracy", "last_half")]
            whole, half = map(_gap, gaps)
            half = half.replace("it", f"the best possible ({ceiling})")
            distance = Finding("weak", f"{half} on the last half of the points, {whole} on all; without an interval.")
        asked = f"{self._path} --task {task} --n {self._n} --points {self._points}"
        trust = Finding("weak", f"{HELD_OUT_PROBLEMS} held-out problems, the same for all learners. For intervals and "
                        f"paired differences: llm-icl eval --model {asked}")  # fmt: skip
        findings = {"Algorithm": algorithm, "Distance": distance, "Trust": trust}
        return Card(self.name, f"{task}, n = {self._n} (held-out problems)", findings)

    def _accuracy(self, task: str) -> str:
        """The gap to the first reference on these problems."""
        score, reference = self._scores[task], next(iter(self._references(task)), "")
        own = f"{_percent(score['accuracy'])} of all points and {_percent(score['last_half'])} of the last half"
        sentence = f"On held-out problems of {task}, {self.name} is correct on {own}"
        if not reference:
            return f"{sentence}."
        best = self._references(task)[reference]
        return (
            f"{sentence}; {_REFERENCES[reference]} on {_percent(best['accuracy'])} and {_percent(best['last_half'])}: "
            f"{_gap(best['accuracy'] - score['accuracy'])} on all points, "
            f"{_gap(best['last_half'] - score['last_half'])} on the last half."
        )

    def _references(self, task: str) -> Mapping[str, dict[str, float]]:
        """The scores of the available references, in the order of `_REFERENCES`."""
        found: dict[str, dict[str, float]] = self._record["ceilings"].get(task, {})
        return {name: found[name] for name in _REFERENCES if name in found}

    def _notes(self) -> list[str]:
        """What exact Bayes is on the validation tasks."""
        names = {name for task in self._scores for name in self._references(task)}
        return notes_on(names, self._tests.values(), [self._n])


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _gap(difference: float) -> str:
    points = f"{100 * abs(difference):.1f} points"
    return f"{points} below it" if difference > 0 else f"{points} above it" if difference < 0 else "equal to it"
