"""Exports problems to common file formats."""

import json
import tempfile
from pathlib import Path
from typing import Any

from llm_icl.config.files import atomic_path, write_text
from llm_icl.errors import RequestError
from llm_icl.problems import Problems


def rows(problems: Problems) -> list[dict[str, Any]]:
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


def _export_dataset(problems: Problems, target: Path) -> None:
    """Write a new folder for `datasets.load_from_disk`, atomically."""
    if target.exists():
        raise RequestError(f"{target} already exists: choose a new folder for the dataset")
    from datasets import Dataset, disable_progress_bars

    disable_progress_bars()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as work:
        Dataset.from_list(rows(problems)).save_to_disk(str(Path(work) / "dataset"))
        (Path(work) / "dataset").rename(target)


def export(problems: Problems, target: Path) -> None:
    """Write npz, JSON lines, Parquet, or a Hugging Face dataset folder, by extension.

    Raises RequestError for an unknown extension or an unwritable path.
    """
    try:
        if target.suffix == ".npz":
            problems.save(target)
        elif target.suffix == ".jsonl":
            write_text(target, "".join(json.dumps(row) + "\n" for row in rows(problems)))
        elif target.suffix == ".parquet":
            import polars as pl

            with atomic_path(target) as temporary:
                pl.DataFrame(rows(problems)).write_parquet(temporary)
        elif target.suffix == "":
            _export_dataset(problems, target)
        else:
            raise RequestError(
                f"'{target.name}' must end in .npz, .jsonl or .parquet (or have no extension, for a dataset folder)"
            )
    except OSError as problem:
        raise RequestError(f"{target} cannot be written: {problem.strerror or problem}") from None
