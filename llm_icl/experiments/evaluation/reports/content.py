"""Finished evaluations, arranged in cells with their scores and verdicts."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from llm_icl.analysis.cells import Cell, arrange
from llm_icl.analysis.comparisons import Judgement, judge
from llm_icl.analysis.effects import comparisons as tested
from llm_icl.analysis.names import Names
from llm_icl.analysis.scores import Score, score
from llm_icl.errors import RequestError
from llm_icl.experiments.evaluation.reports.verdict import Pair, comparisons, left_out, verdict, verdict_on_networks
from llm_icl.experiments.namesakes import namesakes
from llm_icl.problems import PROBLEMS_VERSION, TASK_TEXTS, Problems, Task
from llm_icl.reports.algorithms import sentence, short
from llm_icl.runs import RunDirectory
from llm_icl.runs.listing import short_names


@dataclass(frozen=True)
class CellContent:
    """One cell of a task: its comparisons, its scores sorted by mean accuracy, its verdicts, the training records of
    its networks by name, and which algorithm each model and network runs.
    """

    cell: Cell
    task: Task
    judged: dict[Pair, Judgement]
    scores: list[Score]
    sentences: list[str]
    networks: dict[str, dict[str, Any]]
    algorithms: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Content:
    """All cells, the records of their runs by name, the number of comparisons that the verdicts make together, and what
    learners are called.
    """

    cells: list[CellContent]
    records: dict[str, dict[str, Any]]
    comparisons: int
    called: Names

    @property
    def tasks(self) -> list[str]:
        return list(dict.fromkeys(content.cell.task for content in self.cells))

    @property
    def names(self) -> list[str]:
        """The names of all learners, for colours."""
        return [name for content in self.cells for name in (*content.cell.learners, *content.networks)]

    @property
    def subjects(self) -> list[str]:
        """The language models and networks."""
        found = (name for content in self.cells for name in (*content.cell.models, *content.cell.networks))
        return list(dict.fromkeys(found))


def gather(runs: Sequence[RunDirectory]) -> Content:
    """Read finished runs. Raises RequestError if one is unfinished, or if they are not comparable."""
    named = dict(zip(short_names(runs), runs, strict=True))
    records = {name: run.record for name, run in named.items()}
    for run, record in zip(named.values(), records.values(), strict=True):
        if record.get("status") != "complete":
            raise RequestError(f"{run.path} is not a finished run")
        if record["request"]["versions"]["problems"] != PROBLEMS_VERSION:
            raise RequestError(
                f"{run.path} was made with a different version of the problem generator: its points differ; re-run it"
            )
    laws: dict[str, Any] = {}
    tasks: dict[str, Task] = {}
    for task in (task for record in records.values() for task in record["request"]["tasks"]):
        law = {key: value for key, value in task.items() if key not in TASK_TEXTS}
        tasks[task["name"]] = Task(**task)
        if laws.setdefault(task["name"], law) != law:
            raise RequestError(
                f"these runs have different definitions of the task '{task['name']}'; report them separately"
            )
    # Runs of earlier versions have no agreement column.
    frame = pl.concat([run.predictions().with_columns(run=pl.lit(name)) for name, run in named.items()], how="diagonal")
    networks = {name for record in records.values() for name in record.get("networks", {})}
    called = Names.among(frame, networks, namesakes(record["request"] for record in records.values()))
    cells = arrange(frame, networks, _one_label(named), called)
    compared = {(i, pair): each for i, cell in enumerate(cells) for pair, each in comparisons(cell, tasks[cell.task])}
    judged = judge(compared)
    contents = [
        _content(cell, tasks[cell.task], {pair: judged[i, pair] for j, pair in compared if i == j}, records, called)
        for i, cell in enumerate(cells)
    ]
    return Content(contents, records, tested(judged), called)


def _one_label(runs: Mapping[str, RunDirectory]) -> pl.DataFrame:
    """The problems whose in-context labels are all equal, in each run by its name."""
    schema = {"run": pl.String, "task": pl.String, "n": pl.Int32, "seed": pl.Int64, "problem": pl.Int64}
    found = [pl.DataFrame(schema=schema)]
    for name, run in runs.items():
        for path in sorted((run.path / "problems").glob("*.npz")):
            problems = Problems.load(path)
            same = problems.indices[(problems.shown == problems.shown[:, :1]).all(axis=1)]
            about = {"run": name, "task": problems.task.name, "n": problems.n, "seed": problems.seed}
            found.append(pl.DataFrame({**about, "problem": same}, schema=schema))
    return pl.concat(found)


def _content(
    cell: Cell, task: Task, judged: dict[Pair, Judgement], records: Mapping[str, dict[str, Any]], called: Names
) -> CellContent:
    scores = [score(cell, learner) for learner in cell.learners]
    scores.sort(key=lambda s: (not s.average.known, -s.average.value))
    algorithms = _algorithms(cell, records, called)
    sentences = []
    for name in cell.models:
        said = verdict(cell, task, name, judged)
        said += [sentence(algorithms[name])] if name in algorithms else []
        sentences.append(" ".join(said))
    if note := left_out(cell):
        sentences.append(note)
    networks: dict[str, dict[str, Any]] = {}
    for run, record in records.items():
        request = record["request"]
        if cell.n in request["n"] and cell.task in [task["name"] for task in request["tasks"]]:
            networks |= {called.of(name, None, run): about for name, about in record.get("networks", {}).items()}
    sentences += verdict_on_networks(cell, task, judged)
    sentences += [f"{name}: {sentence(algorithms[name])}" for name in cell.networks if name in algorithms]
    return CellContent(cell, task, judged, scores, sentences, networks, algorithms)


def _algorithms(cell: Cell, records: Mapping[str, dict[str, Any]], called: Names) -> dict[str, dict[str, Any]]:
    """The verdicts on the algorithms of a cell's models and networks. Of several runs, that on most answers, and
    `elsewhere` what others say that differs, if they have problems enough to tell.
    """
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for run, record in records.items():
        for one in record.get("algorithms", []):
            name = called.of(one["learner"], one["prompt"], run)
            if (one["task"], one["n"]) != (cell.task, cell.n) or name not in cell.learners:
                continue
            found[name].append(one)
    verdicts = {}
    for name, some in found.items():
        most, *others = sorted(some, key=lambda one: (-one["answers"], short(one)))
        told = {short(one) for one in others if one["verdict"] != "too few"}
        verdicts[name] = most | {"elsewhere": sorted(told - {short(most)})}
    return verdicts
