"""Suites that compare in-context learning with finetuning (`kind: finetune-vs-icl`): a cell for each model and set of
texts.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_icl.config.cards import Card
from llm_icl.config.files import file_name
from llm_icl.errors import RequestError
from llm_icl.experiments.finetuning.experiment import Comparison
from llm_icl.experiments.finetuning.options import ComparisonOptions
from llm_icl.suites.matrix import Matrix, checked_by, read_matrix, refuse_repeats

AXES = ("model", "dataset")
_DEFAULT = ComparisonOptions(dataset="")
_OPTIONS = (
    "demonstrations", "examples", "seed", "rates", "choose-on", "best-seed", "too-many", "too-long", "separator",
    "controls",
)  # fmt: skip
SETTINGS: dict[str, Any] = {name: getattr(_DEFAULT, name.replace("-", "_")) for name in _OPTIONS}


@dataclass(frozen=True)
class ComparisonCell:
    """One comparison; its name is usable as a folder name."""

    name: str
    experiment: Comparison


def load_comparisons(
    name: str, card: Card, data_dir: Path | None, tasks_dir: Path | None = None
) -> list[ComparisonCell]:
    """The cells of a card, with texts from a folder or the hub. Raises RequestError for the first invalid one."""
    matrix = matrix_of(card)
    cells = []
    for point in matrix.points(AXES):
        label = f"{point['model']}+{point['dataset']}"
        options = {**matrix.settings_at(point), **point, "data_dir": data_dir, "tasks_dir": tasks_dir}
        try:
            experiment = Comparison.of(ComparisonOptions.of(options))
            experiment.check()
        except RequestError as problem:
            raise RequestError(f"suite '{name}', cell {label}: {problem}") from None
        cells.append(ComparisonCell(file_name(label), experiment))
    refuse_repeats(name, [cell.name for cell in cells])
    return cells


def matrix_of(card: Card) -> Matrix:
    if "published" in card.fields:
        raise card.error(
            "published figures of comparisons with finetuning are known, and stand in reports", "published"
        )
    return read_matrix(card, AXES, {}, SETTINGS, checked_by(ComparisonOptions))
