"""Tasks for lm-evaluation-harness: a folder for its `--include_path`.

For each task and n a file of rows and a file of settings, which ask for the log-likelihood of each label after the
prompt. The rows stand beside the settings, so that the folder can be moved and given away.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import yaml

from llm_icl import __version__
from llm_icl.config.files import identifier, new_folder, write_text
from llm_icl.errors import RequestError
from llm_icl.prompting.exporting import Queries

# All tasks of this package: `--tasks llm_icl`.
_TAG = "llm_icl"
_READER = '''"""The rows of a task, which stand beside this file."""

import json
from pathlib import Path

from datasets import Dataset


def rows(file, **_):
    lines = Path(__file__).with_name(file).read_text(encoding="utf-8").splitlines()
    return {"test": Dataset.from_list([json.loads(line) for line in lines])}
'''


def export(queries: Sequence[Queries], folder: Path) -> list[str]:
    """Write a new folder. The names of its tasks. Raises RequestError."""
    files = {"rows_beside.py": _READER}
    names = []
    for asked in queries:
        drawn = asked.problems
        name, gap = f"{_TAG}_{identifier(drawn.task.name)}_n{drawn.n}", asked.gap
        if name in names:
            raise RequestError(f"two tasks would have the name {name}: write each into a folder of its own")
        rows = [row | {"gap": gap, "prompts": len(asked)} for row, _ in asked.rendered()]
        if any(row["text"] is None for row in rows):
            raise RequestError(f"prompt '{asked.prompt.name}' has turns, and lm-evaluation-harness is given texts")
        files[f"{name}.jsonl"] = "".join(json.dumps(row) + "\n" for row in rows)
        files[f"{name}.yaml"] = _settings(name, gap)
        names.append(name)
    with new_folder(folder) as written:
        for file, text in files.items():
            write_text(written / file, text)
    return names


def _settings(name: str, gap: str) -> str:
    settings = {
        "task": name,
        "tag": _TAG,
        "dataset_kwargs": {"file": f"{name}.jsonl"},
        "test_split": "test",
        "output_type": "multiple_choice",
        # Fields of the rows, which are taken as they are.
        "doc_to_text": "text",
        "doc_to_choice": "labels",
        "doc_to_target": "target",
        "target_delimiter": gap,
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
        "metadata": {"version": __version__},
    }
    return "custom_dataset: !function rows_beside.rows\n" + yaml.safe_dump(settings, sort_keys=False)
