"""The card of a trained network: what it is, how well it does, how to load it, and under which terms."""

import math
import shlex
from collections.abc import Mapping
from typing import Any

import yaml

from llm_icl import __version__
from llm_icl.analysis.intervals import Estimate, proportion
from llm_icl.experiments.training.request import TrainingRequest
from llm_icl.learners.base import Learner
from llm_icl.problems import Problems

_HEAD = {
    "license": "apache-2.0",
    "library_name": "llm-icl",
    "tags": ["in-context-learning", "boolean-functions", "llm-icl"],
}

_FROZEN = " Frozen weights are not in this folder: they come from the pretrained model, under its own terms."


def accuracies(network: Learner, problems: Problems) -> tuple[Estimate, Estimate]:
    """At all points, and at the last half of each problem; problems are clusters."""
    right = network.answer(problems).prediction == problems.ys
    whole, last = (
        proportion(part.sum(axis=1).astype(float), (part >= 0).sum(axis=1).astype(float))
        for part in (right, right[:, right.shape[1] // 2 :])
    )
    return whole, last


def model_card(name: str, request: TrainingRequest, results: Mapping[str, Any], network: Learner) -> str:
    """The text of README.md in the folder of a run, for the Hugging Face hub."""
    shape, schedule = request.shape, request.schedule
    first, *_ = request.tasks
    rows = []
    for task in request.tests:
        problems = request.held_out_problems(task)
        found = " | ".join(map(_written, accuracies(network, problems)))
        rows.append(f"| `{task.name}` | {len(problems)} | {found} |")
    options = f" ({', '.join(f'{key} {value}' for key, value in shape.options.items())})" if shape.options else ""
    facts = {
        "architecture": f"`{shape.architecture}`{options}, {shape.layers} layers of width {shape.width}, "
        f"{results['parameters']:,} parameters",
        "trained on": ", ".join(f"`{task.name}`" for task in request.tasks)
        + f", n = {request.n}, {request.points} points, seed {schedule.seed}",
        "steps": f"{results['steps']:,} of {request.batch} problems, {schedule.optimiser}, "
        f"peak learning rate {schedule.rate:g}",
        "made with": f"llm-icl {__version__}",
    }
    lines = [
        f"---\n{yaml.safe_dump(_HEAD, sort_keys=False)}---\n",
        f"# {name}\n",
        f"A network that learns Boolean functions of {request.n} bits in context: after each labelled point it "
        "predicts the label of the next one.\n",
        "| | |\n| --- | --- |",
        *(f"| {key} | {text} |" for key, text in facts.items()),
        "\n## Accuracy\n",
        "In %, with 95 % intervals, on held-out problems, which also decided when training stopped.\n",
        "| task | problems | all points | last half |\n| --- | --- | --- | --- |",
        *rows,
        "\n## Use\n",
        "With this folder (`run.json`, `metrics.jsonl` and `checkpoint.safetensors`):\n",
        f"    llm-icl eval --model FOLDER --task {shlex.quote(first.name)} --n {request.n} --points {request.points}\n",
        "Its weights alone are in `checkpoint.safetensors`, under names that begin with `model.`.\n",
        "## Licence and citation\n",
        f"Apache-2.0, as llm-icl.{_FROZEN if results['frozen'] else ''} Please cite llm-icl, with its version, and "
        "for the tasks and the training Bhattamishra, Patel, Blunsom and Kanade: *Understanding In-Context Learning in "
        "Transformers and LLMs by Learning to Learn Discrete Functions*. ICLR 2024. "
        "<https://arxiv.org/abs/2310.03016>",
    ]
    return "\n".join(lines) + "\n"


def _written(accuracy: Estimate) -> str:
    interval = f" [{100 * accuracy.low:.1f}, {100 * accuracy.high:.1f}]" if not math.isnan(accuracy.low) else ""
    return f"{100 * accuracy.value:.1f}{interval}"
