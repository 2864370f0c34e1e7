"""Exports problems to common file formats."""

import json
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from llm_icl.config.files import atomic_path, write_text
from llm_icl.errors import RequestError
from llm_icl.problems import Problems

Row = Mapping[str, Any]


def rows(problems: Problems) -> list[Row]:
    """One row per problem: its index, inputs (m, n), true and shown labels (m,), and its parameters as JSON."""
    parameters = {key: value.tolist() for key, value in problems.parameters.items()}
    fixed = {"task": problems.task.name, "n": problems.n, "seed": problems.seed}
    return [
        fixed
        | {
            "problem": int(problems.indices[i]),
            "inputs": problems.xs[i].tolist(),
            "labels": problems.ys[i].tolist(),
            "shown_labels": problems.shown[i].tolist(),
            "taught": int(problems.taught[i]),
            "parameters": json.dumps({key: value[i] for key, value in parameters.items()}),
        }
        for i in range(len(problems))
    ]


def _export_dataset(rows: list[Row], target: Path) -> None:
    """Write a new folder for `datasets.load_from_disk`, atomically."""
    if target.exists():
        raise RequestError(f"{target} already exists: choose a new folder for the dataset")
    from datasets import Dataset, disable_progress_bars

    disable_progress_bars()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as work:
        Dataset.from_list([dict(row) for row in rows]).save_to_disk(str(Path(work) / "dataset"))
        (Path(work) / "dataset").rename(target)


def export(problems: Problems, target: Path) -> None:
    """Write npz, JSON lines, Parquet, or a Hugging Face dataset folder, by extension.

    Raises RequestError for an unknown extension or an unwritable path.
    """
    if target.suffix == ".npz":
        _writing(target, problems.save)
    else:
        export_rows(rows(problems), target, " .npz,")


def export_rows(rows: Iterable[Row], target: Path, other: str = "") -> None:
    """Write JSON lines, Parquet, or a Hugging Face dataset folder, by extension. `other` extensions are for messages.

    Raises RequestError for an unknown extension or an unwritable path.
    """
    found = list(rows)
    if target.suffix == ".jsonl":
        _writing(target, lambda path: write_text(path, "".join(json.dumps(row) + "\n" for row in found)))
    elif target.suffix == ".parquet":
        _writing(target, lambda path: _export_parquet(found, path))
    elif target.suffix == "":
        _writing(target, lambda path: _export_dataset(found, path))
    else:
        raise RequestError(
            f"'{target.name}' must end in{other} .jsonl or .parquet (or have no extension, for a dataset folder)"
        )


def _export_parquet(rows: list[Row], target: Path) -> None:
    import polars as pl

    with atomic_path(target) as temporary:
        pl.DataFrame(rows, infer_schema_length=None).write_parquet(temporary)


def _writing(target: Path, write: Callable[[Path], None]) -> None:
    try:
        write(target)
    except OSError as problem:
        raise RequestError(f"{target} cannot be written: {problem.strerror or problem}") from None
