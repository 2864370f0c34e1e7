"""Exports problems, prompts and probes to common file formats."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from llm_icl.config.files import atomic_path, write_text
from llm_icl.errors import RequestError
from llm_icl.problems import Problems
from llm_icl.tasks.dataset_folder import Content, Table, write_dataset, write_parquet


def table_of(problems: Problems) -> Table:
    """One row per problem: its index, inputs (m, n), true and shown labels (m,), and its parameters as JSON."""
    parameters = {key: value.tolist() for key, value in problems.parameters.items()}
    fixed = {"task": problems.task.name, "n": problems.n, "seed": problems.seed}
    rows = [
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
    return Table(problems.task, problems.n, rows)


def export(tables: Sequence[Table], content: Content, target: Path, other: str = "") -> None:
    """Write JSON lines, Parquet, or a dataset folder, by extension. `other` extensions are for messages.

    Raises RequestError for an unknown extension, an unwritable path, or several tables in one file.
    """
    if target.suffix not in (".jsonl", ".parquet", ""):
        raise RequestError(
            f"'{target.name}' must end in{other} .jsonl or .parquet (or have no extension, for a dataset folder)"
        )
    if target.suffix and len(tables) > 1:
        raise RequestError(
            f"{len(tables)} tables (of each task and n one) do not fit into {target.name}: write a folder"
        )
    if target.suffix == ".jsonl":
        text = "".join(json.dumps(row) + "\n" for row in tables[0].rows)
        writing(target, lambda path: write_text(path, text))
    elif target.suffix == ".parquet":
        writing(target, lambda path: _write_parquet(tables[0], path))
    else:
        writing(target, lambda path: write_dataset(tables, content, path))


def _write_parquet(table: Table, target: Path) -> None:
    with atomic_path(target) as temporary:
        write_parquet(table.rows, temporary)


def writing(target: Path, write: Callable[[Path], None]) -> None:
    """Raises RequestError for an unwritable path."""
    try:
        write(target)
    except OSError as problem:
        raise RequestError(f"{target} cannot be written: {problem.strerror or problem}") from None
