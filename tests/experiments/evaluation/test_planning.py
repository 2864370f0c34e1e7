"""Plans: the number of problems that is stated finds the difference, as often as stated."""

import json

import numpy as np
import pytest

import llm_icl
from llm_icl.analysis.comparisons import compare, judge, problems_needed
from llm_icl.config.specs import parse_specs
from llm_icl.errors import RequestError
from llm_icl.experiments.evaluation.planning import PlanOptions, plan
from llm_icl.experiments.evaluation.planning import _of_runs as of_runs
from llm_icl.learners.base import learner_of
from llm_icl.tasks.cards import load_task
from llm_icl.tasks.drawing import draw_problems
from tests.conftest import TinyModels


def correctness(task, n, points, problems, *names):
    drawn = draw_problems(load_task(parse_specs([task])[0]), n, points, problems, 1)
    learners = [learner_of(parse_specs([name])[0]) for name in names]
    return [(learner.answer(drawn).prediction == drawn.ys).astype(float) for learner in learners]


def rows(report, table="problems"):
    (section,) = report.sections
    return next(block.rows for block in section.blocks if block.key == table)


@pytest.mark.parametrize(
    ("n", "learner", "positions"), [(5, "bayes-labels", [19]), (5, "perceptron", [3, 7, 11, 15, 19])]
)
def test_a_planned_number_of_problems_finds_the_planned_difference(n, learner, positions):
    """200 studies, each planned from a pilot of 60 of 3,000 problems: 75 to 85 % find what differs between learners."""
    first, second = (each[:, positions] for each in correctness("majority", n, 20, 3000, learner, "averaging"))
    difference = abs((first - second).mean())
    random, found = np.random.default_rng(0), 0
    for _ in range(200):
        pilot = random.integers(3000, size=60)
        known = compare(first[pilot], second[pilot], (first[pilot], second[pilot]))
        wanted = int(problems_needed(60 * known.error**2, known.uncertainty, 0.05, difference))
        study = random.integers(3000, size=wanted)
        a, b = first[study], second[study]
        found += judge({0: compare(a, b, (a, b))})[0].outcome in ("above", "below")
    assert 0.72 <= found / 200 <= 0.88, (difference, wanted)


def test_a_plan_is_of_the_pairs_that_stand_in_for_models():
    report = plan(PlanOptions.of({"task": "majority", "n": "5", "points": 20, "difference": 10.0}))
    first, second = correctness("majority", 5, 20, 200, "averaging", "nearest-neighbour")
    assert {row["compared"] for row in rows(report)} == {"averaging and nearest-neighbour"}
    assert [row["positions"] for row in rows(report)] == [1, 5, 10, 20]
    needed = [row["problems"] for row in rows(report)]
    assert needed[0] > max(needed[1:])
    assert needed[-1] == min(needed)
    # Two independent samples of the same learners: their variances agree.
    known = compare(first, second, (first, second))
    assert needed[-1] == pytest.approx(problems_needed(200 * known.error**2, 0.01, 0.05 / 4, 0.1), rel=0.35)


def test_smaller_differences_more_power_and_more_comparisons_need_more():
    base = {"task": "majority", "n": "5", "points": 10, "comparisons": 1}
    known = rows(plan(PlanOptions.of(base)))[-1]["problems"]
    for more in ({"difference": 2.5}, {"power": 0.9}, {"comparisons": 20}):
        assert rows(plan(PlanOptions.of(base | more)))[-1]["problems"] > known


def test_calls_are_those_of_each_model_and_are_priced():
    given = {"task": "majority", "n": "3", "points": 10, "difference": 20.0, "model": "gpt-4.1,smollm2-135m"}
    hosted, local = (
        [row for row in rows(plan(PlanOptions.of(given)), "calls") if row["model"] == model]
        for model in ("gpt-4.1", "smollm2-135m")
    )
    drawn = draw_problems(load_task(parse_specs(["majority"])[0]), 3, 10, 20, 0)
    asked = {1: [9], 10: range(10)}
    for row in hosted:  # a call for each query, and one with shuffled labels; equal ones are made once
        assert row["read"] > 0
        if positions := asked.get(row["positions"]):
            different = {
                (shown.xs[i, : at + 1].tobytes(), shown.shown[i, :at].tobytes())
                for shown in (drawn, drawn.with_shuffled_labels()) for i in range(20) for at in positions
            }  # fmt: skip
            assert row["calls"] == pytest.approx(len(different) * row["problems"] / 20)
    for row in local:  # a curve for each problem
        assert row["calls"] == pytest.approx(2 * row["problems"])
    # No curve: the label does not come next.
    reasoned = given | {"task": "conjunction", "prompt": "pac-step-by-step", "model": "smollm2-135m"}
    for row in rows(plan(PlanOptions.of(reasoned)), "calls"):
        assert row["calls"] == pytest.approx(2 * row["problems"] * row["positions"])


def test_a_pilot_says_what_is_compared_and_how_long_it_takes(tmp_path):
    learner = "averaging,perceptron"
    run = llm_icl.evaluate(
        out=tmp_path / "pilot", model="none", task="majority", n=3, points=8, problems=30, learner=learner
    )
    frame = run.predictions.filter(learner="averaging").join(
        run.predictions.filter(learner="perceptron"), on=["problem", "position"], suffix="_other"
    )
    report = plan(PlanOptions.of({"pilot": tmp_path / "pilot", "difference": 10.0, "comparisons": 1}))
    by_positions = {row["positions"]: row for row in rows(report)}
    assert set(by_positions) == {1, 5, 8}
    last = frame.filter(position=7)
    right = [last[f"prediction{suffix}"] == last["label"] for suffix in ("", "_other")]
    difference = right[0].cast(int) - right[1].cast(int)
    assert by_positions[1]["known"].value == pytest.approx(difference.mean())
    squares = (difference.to_numpy() - difference.mean()) ** 2
    uncertainty = ((squares**2).mean() / squares.mean() ** 2 - 1) / 29
    needed = problems_needed(difference.var(), uncertainty, 0.05, 0.1)
    assert by_positions[1]["problems"] == pytest.approx(needed)


def test_a_pilots_pace_is_that_of_its_own_cell(tmp_path):
    """Whatever else was run."""
    for task, n in (("majority", "3"), ("parity", "3"), ("majority", "3,4")):
        llm_icl.evaluate(
            out=tmp_path / f"{task}-{n}", model="none", task=task, n=n, points=8, problems=20,
            learner="averaging,perceptron",
        )  # fmt: skip
        path = tmp_path / f"{task}-{n}" / "run.json"
        record = json.loads(path.read_text())
        record["seconds"] = {"averaging": {"majority": 40.0, "parity": 600.0}[task]}
        path.write_text(json.dumps(record))
    (one,) = of_runs([tmp_path / "majority-3"])
    assert one.seconds == {"averaging": 40.0 / 20}
    paces = {
        (p.task.name, p.n): p.seconds["averaging"] for p in of_runs([tmp_path / "parity-3", tmp_path / "majority-3"])
    }
    assert paces == {("majority", 3): 40.0 / 20, ("parity", 3): 600.0 / 20}
    assert [p.seconds["averaging"] for p in of_runs([tmp_path / "majority-3,4"])] == [40.0 / 2 / 20] * 2


def test_a_pilot_of_another_kind_is_refused(tmp_path):
    llm_icl.train(task="parity", n=3, points=6, layers=1, width=16, batch_size=8, steps=2, out=tmp_path / "trained")
    with pytest.raises(RequestError, match="is a run of 'train': a pilot is an evaluation"):
        plan(PlanOptions.of({"pilot": tmp_path / "trained"}))


@pytest.mark.parametrize(
    ("given", "said"),
    [({}, "--task, or --pilot"), ({"task": "majority", "pilot": "."}, "the pilot says the task: leave out --task")],
)
def test_a_plan_has_a_task_or_a_pilot(given, said):
    with pytest.raises(RequestError, match=said):
        plan(PlanOptions.of(given))


@pytest.mark.parametrize(
    ("learner", "problems", "said"),
    [
        ("averaging", 20, "There is nothing to compare"),
        ("averaging,perceptron", 4, "from fewer than 5 problems"),
        ("averaging,perceptron", 20, ""),
    ],
)
def test_a_plan_says_why_it_tells_no_number(tmp_path, learner, problems, said):
    llm_icl.evaluate(
        out=tmp_path / "pilot", model="none", task="majority", n=5, points=8, problems=problems, learner=learner
    )
    (section,) = plan(PlanOptions.of({"pilot": tmp_path / "pilot"})).sections
    assert said in " ".join(section.verdicts)
    assert bool(section.verdicts) == bool(said)


def test_a_pilots_pace_is_the_mean_over_its_runs_and_prompts(tmp_path):
    """Two runs of other problems, and a model that was asked with two prompts."""
    models = TinyModels(tmp_path)
    model = f"hf/{models.gpt2()}"
    for seed, problems, prompt in ((0, 20, "basic"), (1, 10, "basic,instruction")):
        llm_icl.evaluate(
            out=tmp_path / str(seed), model=model, task="majority", n=3, points=4, problems=problems, seed=seed,
            prompt=prompt, learner="averaging", shuffled_labels=seed == 0,
        )  # fmt: skip
        path = tmp_path / str(seed) / "run.json"
        record = json.loads(path.read_text())
        record["seconds"] = {"averaging": [40.0, 5.0][seed], model: [20.0, 100.0][seed]}
        record["seconds"] |= {f"{model} (shuffled labels)": 60.0} if seed == 0 else {}
        path.write_text(json.dumps(record))
    (one,) = of_runs([tmp_path / "0", tmp_path / "1"])
    # One prompt of 20 problems took 20 s, and two of 10 took 100 s.
    assert one.seconds == {"averaging": 45.0 / 30, model: 120.0 / 40, f"{model} (shuffled labels)": 3.0}
