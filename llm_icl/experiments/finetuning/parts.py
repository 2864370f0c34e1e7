"""The findings of one seed in a file, so that an interrupted comparison is resumed from there."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from llm_icl.config.files import atomic_path
from llm_icl.experiments.finetuning.study import Findings

# The findings of each method of finetuning, with its learning rate.
Part = dict[str, tuple[Findings, float]]


def save_part(path: Path, part: Part) -> None:
    about = {
        method: {"rate": rate, "losses": findings.losses, "losses_before": findings.losses_before}
        for method, (findings, rate) in part.items()
    }
    arrays: dict[str, Any] = {"about": np.array(json.dumps(about))}
    for method, (findings, _) in part.items():
        arrays[f"{method}/labels"] = findings.labels
        arrays |= {f"{method}/predictions/{name}": values for name, values in findings.predictions.items()}
        arrays |= {f"{method}/layers/{name}": values for name, values in findings.layers.items()}
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **arrays)


def load_part(path: Path) -> Part:
    part: Part = {}
    with np.load(path) as file:
        for method, about in json.loads(str(file["about"])).items():
            arrays = {
                kind: {
                    name.removeprefix(f"{method}/{kind}/"): file[name]
                    for name in file.files
                    if name.startswith(f"{method}/{kind}/")
                }
                for kind in ("predictions", "layers")
            }
            labels, losses = file[f"{method}/labels"], (about["losses"], about["losses_before"])
            findings = Findings(labels, arrays["predictions"], arrays["layers"], *losses)
            part[method] = (findings, about["rate"])
    return part
