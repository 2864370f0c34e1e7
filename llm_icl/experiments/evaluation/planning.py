"""How many problems an evaluation needs, and what they cost: before a study."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llm_icl.analysis.cells import Floats
from llm_icl.analysis.comparisons import LEAST_TOLD, Comparison, compare, problems_needed
from llm_icl.analysis.identification.structure import evenly
from llm_icl.analysis.intervals import LEVEL
from llm_icl.backends import ModelEntry, backends, find_model
from llm_icl.config.files import file_name
from llm_icl.config.options import Options, option
from llm_icl.config.specs import counted, parse_specs
from llm_icl.errors import RequestError
from llm_icl.experiments.asker import Questions
from llm_icl.experiments.estimates import estimate
from llm_icl.experiments.evaluation import KIND
from llm_icl.experiments.evaluation.reports.content import gather
from llm_icl.experiments.evaluation.reports.verdict import references
from llm_icl.learners import learners
from llm_icl.learners.ceilings import LEARNER, standing
from llm_icl.networks.named import split_models
from llm_icl.problems import SHUFFLED, Task
from llm_icl.prompting import Prompt, load_prompt
from llm_icl.reports.document import Column, Report, Row, Section, Table
from llm_icl.runs import RunDirectory
from llm_icl.tasks.cards import load_task
from llm_icl.tasks.drawing import draw_problems
from llm_icl.tasks.options import DEFAULT_N

# Without a pilot, classical learners stand in for models: on so many problems, or on fewer if these have many points,
# whose squares add up to this.
_STAND_INS, _SQUARES, _FEWEST = 10_000, 25_000_000, 200
# Calls are counted on so many problems.
_DRAWN = 20
# Numbers of positions that are planned for, beside all of them.
_POSITIONS = (1, 5, 10)
# What a report compares every model with: the best constant, shuffled labels, nearest neighbour, exact Bayes.
_REFERENCES = 4

_PROBLEMS = (
    Column("compared", "compared", short=True),
    Column("positions", "positions", "count", short=True),
    Column("known difference", "known", "points", short=True),
    Column("from problems", "from", "count"),
    Column("problems needed", "problems", "count", short=True),
)
_CALLS = (
    Column("model", "model", short=True),
    Column("positions", "positions", "count", short=True),
    Column("problems", "problems", "count", short=True),
    Column("calls", "calls", "count", short=True),
    Column("prompt tokens", "tokens", "count", short=True),
    Column("input, $", "read", "hundredths", short=True),
    Column("output at most, $", "written", "hundredths", short=True),
    Column("hours, at the pilot's pace", "hours", "hundredths", short=True),
)


@dataclass(frozen=True, kw_only=True)
class PlanOptions(Options):
    """A study that finds a difference."""

    task: tuple[str, ...] = option((), shown="those of the pilot")
    """Task, with options after a colon."""
    n: tuple[int, ...] = option((DEFAULT_N,), minimum=1)
    """Number of input bits, without a pilot."""
    points: int = option(50, minimum=1, maximum=10_000)
    """Points per problem, without a pilot."""
    difference: float = option(5.0, above=0, maximum=100)
    """The difference in accuracy to find, in points."""
    power: float = option(0.8, above=0.05, maximum=0.999)
    """The probability of finding it."""
    pilot: tuple[Path, ...] = option((), exists="folder")
    """Finished evaluations that show how much learners differ from problem to problem."""
    comparisons: int | None = option(None, minimum=1, shown="4 for each model, task and n")
    """How many comparisons the report will make and correct for."""
    model: tuple[str, ...] = option(())
    """Models whose calls are priced."""
    prompt: str = option("basic")
    """Prompt template."""
    shuffled_labels: bool = option(True)
    """Whether models are also asked with shuffled labels."""
    batch: bool = option(False)
    """Price the provider's batch API."""
    catalogue: Path | None = option(None, shown="./models.yaml", exists="file")
    """File with your own models."""
    tasks_dir: Path | None = option(None, shown="./tasks", exists="folder")
    """Folder of your own task cards."""
    prompts_dir: Path | None = option(None, shown="./prompts", exists="folder")
    """Folder of your own prompt templates."""


@dataclass(frozen=True)
class Pilot:
    """One task at one n: pairs of learners with their correctness (N, P) at the positions, NaN where not asked, on the
    problems (N,) that can show a difference; and the seconds that a problem took each learner, by its name.
    """

    task: Task
    n: int
    positions: tuple[int, ...]
    pairs: dict[str, tuple[Floats, Floats, NDArray[np.bool_]]]
    seconds: dict[str, float]

    def comparison(self, pair: str, positions: int) -> Comparison:
        """The comparison of a pair over so many positions."""
        chosen = _chosen(len(self.positions), positions)
        *both, where = self.pairs[pair]
        first, second = (each[:, chosen] for each in both)
        return compare(first, second, (first, second), where)


def plan(options: PlanOptions) -> Report:
    """Raises RequestError for a run that is not an evaluation, or without a task and a pilot."""
    if options.task and options.pilot:
        raise RequestError("the pilot says the task: leave out --task, or --pilot")
    if not options.task and not options.pilot:
        raise RequestError("give --task, or --pilot with runs that say the task")
    pilots = _of_runs(options.pilot) if options.pilot else _stand_ins(options)
    names = [name for text in options.model for name in split_models(text)]
    entries = [find_model(name, own=options.catalogue) for name in names]
    count = options.comparisons or _REFERENCES * max(len(entries), 1) * len(pilots)
    drawn = f"between classical learners on {_stand_in_problems(options.points):,} problems, drawn here"
    known = "in the pilot" if options.pilot else drawn
    return Report(
        f"To find {options.difference:g} points with probability {options.power:g}",
        f"Corrected for {counted(count, 'comparison')}. How much differences vary from problem to problem is known as "
        f"it is {known}.",
        sections=tuple(_section(pilot, options, entries, (1 - LEVEL) / count) for pilot in pilots),
        notes=(
            "More positions of a problem cost more calls where a model does not score whole curves, and say less than "
            "more problems do. Positions are evenly spread; one is the last.",
            "One seed of problems will do. Networks that are trained from other seeds differ too, which no number of "
            "problems shows.",
        ),
    )


def _of_runs(paths: Sequence[Path]) -> list[Pilot]:
    """What finished evaluations show of their models, or else of their classical learners."""
    runs = [RunDirectory.finished(path) for path in paths]
    for run in runs:
        if run.kind != KIND:
            raise RequestError(f"{run.path} is a run of '{run.kind}': a pilot is an evaluation (llm-icl {KIND})")
    content = gather(runs)
    tasks = {task["name"]: Task(**task) for record in content.records.values() for task in record["request"]["tasks"]}
    found = []
    for cell in (each.cell for each in content.cells):
        task, subjects = tasks[cell.task], [*cell.models, *cell.networks]
        pairs = [(one, other.name) for one in subjects for other in references(cell, task, one)]
        pairs += combinations(subjects or cell.learners, 2)
        correct = {name: answered.correct for name, answered in cell.learners.items()}
        # Where all labels are equal, shuffled labels are the same labels.
        where = {(one, cell.control_of(one)): ~cell.learners[one].one_label for one in cell.models}
        pairs_of, pace = _pairs(pairs, correct, where), _pace(content.records.values(), task, cell.n)
        found.append(Pilot(task, cell.n, tuple(cell.positions.tolist()), pairs_of, pace))
    return found


def _pace(records: Iterable[Mapping[str, Any]], task: Task, n: int) -> dict[str, float]:
    """The seconds that a problem took each learner of the runs with this cell, with one prompt, by its name; a control
    has its own.
    """
    seconds, asked = defaultdict[str, float](float), defaultdict[str, int](int)
    for record in records:
        request = record["request"]
        tasks = [each["name"] for each in request["tasks"]]
        if task.name not in tasks or n not in request["n"]:
            continue
        models = {each["name"] for each in request["models"]}
        for name, spent in record["seconds"].items():
            prompts = len(request["prompts"]) if name.removesuffix(SHUFFLED) in models else 1
            seconds[name] += spent / (len(tasks) * len(request["n"]))
            asked[name] += request["problems"] * len(request["seeds"]) * prompts
    return {name: spent / asked[name] for name, spent in seconds.items()}


def _stand_in_problems(points: int) -> int:
    return max(_FEWEST, min(_STAND_INS, _SQUARES // points**2))


def _stand_ins(options: PlanOptions) -> list[Pilot]:
    """Classical learners in place of models, on problems of each task."""
    found = []
    for task in (load_task(spec, options.tasks_dir) for spec in parse_specs(options.task)):
        for n in options.n:
            problems = draw_problems(task, n, options.points, _stand_in_problems(options.points), 0)
            correct = {
                name: (kind().answer(problems).prediction == problems.ys).astype(float)
                for name, kind in learners.items()
                if kind.is_default_for(task) and standing(name, task, n) == LEARNER and not kind().refusal(task, n)
            }
            found.append(Pilot(task, n, tuple(range(options.points)), _pairs(combinations(correct, 2), correct), {}))
    return found


def _pairs(
    pairs: Iterable[tuple[str, str]],
    correct: Mapping[str, Floats],
    where: Mapping[tuple[str, str], NDArray[np.bool_]] = MappingProxyType({}),
) -> dict[str, tuple[Floats, Floats, NDArray[np.bool_]]]:
    return {
        f"{one} and {other}": (
            correct[one], correct[other], where.get((one, other), np.ones(len(correct[one]), dtype=bool))
        )
        for one, other in pairs
    }  # fmt: skip


def _section(pilot: Pilot, options: PlanOptions, entries: Sequence[ModelEntry], alpha: float) -> Section:
    every = len(pilot.positions)
    numbers = sorted({min(positions, every) for positions in (*_POSITIONS, every)})
    most = dict.fromkeys(numbers, 0.0)
    rows: list[Row] = []
    told: list[float] = []
    for pair in pilot.pairs:
        for positions in numbers:
            one = pilot.comparison(pair, positions)
            needed = math.nan
            if one.differing and one.problems >= LEAST_TOLD:
                variance = one.problems * one.error**2
                needed = one.drawn * problems_needed(
                    variance, one.uncertainty, alpha, options.difference / 100, options.power
                )
                most[positions] = max(most[positions], needed)
            told.append(needed)
            rows.append(
                {"compared": pair, "positions": positions, "known": one.estimate(), "from": one.problems,
                 "problems": needed}
            )  # fmt: skip
    tables = [Table("problems", "Problems needed", _PROBLEMS, tuple(rows))]
    if entries:
        prompt = load_prompt(parse_specs([options.prompt])[0], options.prompts_dir)
        priced = [
            _priced(pilot, options, entry, prompt, positions, most[positions])
            for entry in entries
            for positions in numbers
            if 0 < most[positions] < math.inf
        ]
        tables.append(Table("calls", "Calls for the pair that needs most", _CALLS, tuple(priced)))
    name = f"{pilot.task.name}, n = {pilot.n}"
    return Section(name, file_name(name), tuple(tables), verdicts=_untold(told))


def _untold(needed: Sequence[float]) -> tuple[str, ...]:
    """Why no number of problems is told, if none is somewhere."""
    if not needed:
        return ("There is nothing to compare: a difference is between two learners.",)
    if any(map(math.isnan, needed)):
        return (f"No number is told where all answers are the same, or from fewer than {LEAST_TOLD} problems.",)
    return ()


def _priced(
    pilot: Pilot, options: PlanOptions, entry: ModelEntry, prompt: Prompt, positions: int, problems: float
) -> Row:
    """The calls of a model, scaled from those of a few problems."""
    drawn = draw_problems(pilot.task, pilot.n, pilot.positions[-1] + 1, min(_DRAWN, int(problems)), 0)
    chosen = [pilot.positions[i] for i in _chosen(len(pilot.positions), positions)]
    versions = [drawn, drawn.with_shuffled_labels()] if options.shuffled_labels else [drawn]
    asked = [Questions("", prompt, shown, chosen) for shown in versions]
    _, few = estimate(entry, asked, None, options.batch, set())
    scale = problems / len(drawn)
    names = [entry.name, f"{entry.name}{SHUFFLED}"][: len(versions)]
    seconds = sum(pilot.seconds.get(name, math.nan) for name in names)
    # A whole curve takes as long for one position as for all.
    portion = 1.0 if backends.get(entry.backend).local else positions / len(pilot.positions)
    return {
        "model": entry.name,
        "positions": positions,
        "problems": problems,
        "calls": scale * few.calls,
        "tokens": scale * few.tokens,
        "read": scale * few.read if entry.price else math.nan,
        "written": scale * few.written if entry.price else math.nan,
        "hours": seconds * problems * portion / 3600,
    }


def _chosen(count: int, most: int) -> list[int]:
    """At most so many of the indices 0 … count - 1, evenly spread; one is the last."""
    return evenly(count, most) if most > 1 else [count - 1]
