"""The findings of one seed in a file, so that an interrupted comparison is resumed from there."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from llm_icl.config.files import atomic_path
from llm_icl.experiments.finetuning.study import Findings


@dataclass(frozen=True)
class Outcome:
    """The findings of one update of the weights, the learning rate of what was finetuned (None of random ones), and the
    candidates that were left out because a number was not finite.
    """

    findings: Findings
    rate: float | None
    left_out: tuple[float, ...] = ()


# The outcome of each method.
Part = dict[str, Outcome]

# The fields of findings that are plain numbers.
_PLAIN = ("losses", "losses_before", "scale")


def save_part(path: Path, part: Part) -> None:
    about = {
        method: {"rate": outcome.rate, "left_out": outcome.left_out}
        | {name: getattr(outcome.findings, name) for name in _PLAIN}
        for method, outcome in part.items()
    }
    arrays: dict[str, Any] = {"about": np.array(json.dumps(about))}
    for method, outcome in part.items():
        findings = outcome.findings
        arrays[f"{method}/labels"] = findings.labels
        arrays |= {f"{method}/predictions/{name}": values for name, values in findings.predictions.items()}
        arrays |= {f"{method}/layers/{name}": values for name, values in findings.layers.items()}
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **arrays)


def load_part(path: Path) -> Part:
    part: Part = {}
    with np.load(path) as file:
        for method, about in json.loads(str(file["about"])).items():
            predictions, layers = (
                {
                    name.removeprefix(f"{method}/{kind}/"): file[name]
                    for name in file.files
                    if name.startswith(f"{method}/{kind}/")
                }
                for kind in ("predictions", "layers")
            )
            plain = {name: about[name] for name in _PLAIN}
            findings = Findings(file[f"{method}/labels"], predictions, layers, **plain)
            part[method] = Outcome(findings, about["rate"], tuple(about["left_out"]))
    return part
