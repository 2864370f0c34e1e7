"""A dataset for the Hugging Face hub: a folder with a Parquet file for each task and n, and a card.

`datasets.load_dataset(FOLDER)` has a split for each of the files, which the head of the card names.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from llm_icl import __version__
from llm_icl.config.files import identifier, new_folder, write_text
from llm_icl.errors import RequestError
from llm_icl.problems import PROBLEMS_VERSION, TASK_TEXTS, Task

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """Rows of one task at one n."""

    task: Task
    n: int
    rows: Sequence[Row]

    @property
    def split(self) -> str:
        return f"{identifier(self.task.name)}_n{self.n}"


@dataclass(frozen=True)
class Content:
    """What the rows are, what their columns hold, and the command that draws them again."""

    rows: str
    columns: Mapping[str, str]
    command: str


def write_dataset(tables: Sequence[Table], content: Content, folder: Path) -> None:
    """Write a new folder. Raises RequestError if it exists, or two tables have one name."""
    splits = [table.split for table in tables]
    if twice := {split for split in splits if splits.count(split) > 1}:
        raise RequestError(f"two tasks would have the split {min(twice)}: write each into a folder of its own")
    with new_folder(folder) as written:
        for table in tables:
            write_parquet(table.rows, written / "data" / f"{table.split}.parquet")
        write_text(written / "README.md", card(tables, content))


def write_parquet(rows: Sequence[Row], path: Path) -> None:
    import polars as pl

    path.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(rows, infer_schema_length=None).write_parquet(path)


def card(tables: Sequence[Table], content: Content) -> str:
    """The card: what, how drawn, columns, versions, licence, and how to cite."""
    files = [{"split": table.split, "path": f"data/{table.split}.parquet"} for table in tables]
    head = {
        "pretty_name": "Boolean functions to learn in context",
        "license": "apache-2.0",
        "tags": ["in-context-learning", "boolean-functions", "llm-icl"],
        "configs": [{"config_name": "default", "data_files": files}],
    }
    lines = [
        f"---\n{yaml.safe_dump(head, sort_keys=False)}---\n",
        f"# {head['pretty_name']}\n",
        f"{content.rows} Drawn by llm-icl: a Boolean function of n bits from a task's function class, and points from "
        "its distribution of inputs. A learner sees points with their labels, and predicts the next label.\n",
        "## Splits\n",
        "| split | task | n | rows | labels are |\n| --- | --- | --- | --- | --- |",
        *(
            f"| `{t.split}` | `{_cell(t.task.name)}` | {t.n} | {len(t.rows)} | {_cell(t.task.description)} |"
            for t in tables
        ),
        "\n## Columns\n",
        "| column | |\n| --- | --- |",
        *(f"| `{name}` | {text} |" for name, text in content.columns.items()),
        "\n## How it was drawn\n",
        f"With llm-icl {__version__}, whose problems have version {PROBLEMS_VERSION}, by\n",
        f"    {content.command}\n",
        "Problem i depends on the task, n, the seed and i alone: the same command draws the same rows. The tasks are\n",
        "```json",
        *(json.dumps(_law(task)) for task in {table.task.name: table.task for table in tables}.values()),
        "```\n",
        "## Licence and citation\n",
        "Apache-2.0, as llm-icl. Please cite llm-icl, with its version, and the sources of the tasks:\n",
        f"- The llm-icl authors: *llm-icl: which learning algorithm does a model run in context?* {__version__}.",
        *dict.fromkeys(f"- `{t.task.name}`: {_cell(t.task.source)}" for t in tables if t.task.source),
        "- Bhattamishra, Patel, Blunsom and Kanade: *Understanding In-Context Learning in Transformers and LLMs by "
        "Learning to Learn Discrete Functions*. ICLR 2024. <https://arxiv.org/abs/2310.03016>",
    ]
    return "\n".join(lines) + "\n"


def _law(task: Task) -> dict[str, Any]:
    """What problems depend on."""
    return {key: value for key, value in asdict(task).items() if key not in TASK_TEXTS}


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
