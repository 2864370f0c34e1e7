"""Runs made without any model: classical learners answer, and "models" answer like nearest neighbour with noise."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from llm_icl.config.files import file_name
from llm_icl.experiments.kinds import experiments
from llm_icl.problems import SHUFFLED, Problems

# Of the answers of models, those that cannot be read, and those that are refused.
UNPARSEABLE, REFUSED = 0.02, 0.01


def synthetic_run(
    folder: Path, models: Sequence[str] = ("model-a",), prompts: Sequence[str] = ("basic",), with_texts: bool = True,
    said: str = "", **options: object,
) -> Path:  # fmt: skip
    """A finished evaluation in a folder, with the models' prompts and replies; `said` is part of each reply."""
    evaluation = experiments.get("eval")
    evaluation.of(evaluation.options.of({"model": "none", **options})).run(folder)
    frame = pl.read_parquet(folder / "predictions.parquet")
    parts, exchanges = [frame], []
    for path in sorted((folder / "problems").glob("*.npz")):
        problems = Problems.load(path)
        about = {"task": problems.task.name, "n": problems.n, "seed": problems.seed}
        basis = frame.filter(pl.col("learner") == "nearest-neighbour", *(pl.col(k) == v for k, v in about.items()))
        for i, model in enumerate(models):
            for j, prompt in enumerate(prompts):
                seed = [i, j, problems.n, problems.seed, len(parts)]
                parts.append(_answers(basis, model, prompt, 0.15 + 0.1 * i + 0.05 * j, seed))
                parts.append(_answers(basis, model + SHUFFLED, prompt, 0.9, [*seed, 1]))
                if with_texts:
                    exchanges += [about | one for one in _exchanges(problems, model, prompt, said)]
    pl.concat(parts, how="diagonal_relaxed").write_parquet(folder / "predictions.parquet")
    (folder / "exchanges.jsonl").write_text("".join(json.dumps(one) + "\n" for one in exchanges))
    record = json.loads((folder / "run.json").read_text())
    record |= _record(record["request"], models, prompts)
    (folder / "run.json").write_text(json.dumps(record))
    return folder


def _answers(basis: pl.DataFrame, model: str, prompt: str, noise: float, seed: list[int]) -> pl.DataFrame:
    """Probabilities of nearest neighbour, some replaced by random ones; some answers are none."""
    random = np.random.default_rng(seed)
    given = basis["probability"].fill_null(0.5).to_numpy()
    given = np.where(random.random(len(given)) < noise, random.random(len(given)), 0.1 + 0.8 * given)
    kind = random.random(len(given))
    status = np.where(kind < UNPARSEABLE, "unparseable", np.where(kind < UNPARSEABLE + REFUSED, "refused", "ok"))
    usable = pl.Series(status == "ok")
    return basis.with_columns(
        learner=pl.lit(model), prompt=pl.lit(prompt), status=pl.Series(status),
        probability=pl.when(usable).then(pl.Series(given)),
        prediction=pl.when(usable).then(pl.Series(given > 0.5).cast(basis.schema["prediction"])),
        mass=pl.when(usable).then(0.9),
    )  # fmt: skip


def _exchanges(problems: Problems, model: str, prompt: str, said: str) -> list[dict[str, object]]:
    """One prompt for a whole curve of each problem, and a reply."""
    found = []
    for i in range(len(problems)):
        lines = (
            f"Input: {' '.join(map(str, x))}\nLabel: {y}"
            for x, y in zip(problems.xs[i].tolist(), problems.shown[i].tolist(), strict=True)
        )
        problem = int(problems.indices[i])
        text = f"[{prompt}] Problem {problem} of {problems.task.name}.\n" + "\n".join(lines)
        reply = {"text": f" {model} replies to {problem}{said}"}
        positions = list(range(problems.points))
        found.append(
            {"learner": model, "prompt": prompt, "problem": problem, "positions": positions, "text": text,
             "reply": reply}
        )  # fmt: skip
    return found


def _record(request: dict[str, object], models: Sequence[str], prompts: Sequence[str]) -> dict[str, object]:
    """What a run of these models would add to the record."""
    tasks = [(task["name"], n) for task in request["tasks"] for n in request["n"]]  # type: ignore[union-attr,index,attr-defined]
    verdict = {"verdict": "single", "names": ["nearest-neighbour"], "problems": request["problems"], "answers": 200}
    verdict |= {"share": [0.81, 0.7, 0.9], "close": [], "left": "", "needed": None, "shares": {}, "left_out": []}
    few = {"verdict": "too few", "names": [], "problems": request["problems"], "answers": 20, "needed": 130.0}
    modes = [
        {"learner": model, "prompt": prompt, "mode": "curve", "because": [], "cell": f"{task}, n = {n}"}
        for model in models for prompt in prompts for task, n in tasks
    ]  # fmt: skip
    algorithms = [
        {"learner": model, "prompt": prompt, "task": task, "n": n} | (few if i % 3 == 2 else verdict)
        for model in models for prompt in prompts for i, (task, n) in enumerate(tasks)
    ]  # fmt: skip
    calls = {"new": len(modes) * int(request["problems"]), "cached": 0}  # type: ignore[call-overload]
    identity = {model: {"name": model} for model in models}
    return {"models": identity, "modes": modes, "algorithms": algorithms, "calls": calls, "cost": 1.25}


def name_of(task: str, n: int) -> str:
    """The anchor of a cell."""
    return f"{file_name(task)}-n{n}"
