"""Names that shells complete: of tasks, learners, models and all else that options take. Nothing heavy is imported: a
shell waits for them at every press of the key.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

Names = Callable[[dict[str, Any]], Iterable[str]]
# Where runs are unless --out names another folder.
_OUTPUTS = Path("outputs")
_ARCHITECTURE = re.compile(r'^(?:@architecture|register)\((?:\s*Architecture\()?\s*"([^"]+)"', re.MULTILINE)


def completing(option: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]] | None:
    """The completion of the values of an option or argument of this name; None if they are no names."""
    names = _NAMES.get(option)
    return _completion(names) if names else None


def _completion(names: Names) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Of a comma list the last name; a path where no name begins like this."""
        before, comma, last = incomplete.rpartition(",")
        try:
            found = [name for name in names(context.params) if name.startswith(last)]
        except Exception:  # a card that cannot be read is reported by the command itself
            found = []
        if not found:
            return [CompletionItem(incomplete, type="file")]
        return [CompletionItem(f"{before}{comma}{name}") for name in found]

    return complete


def _cards(kind: str, ending: str, option: str) -> Names:
    def names(chosen: dict[str, Any]) -> Iterable[str]:
        from llm_icl.config.files import data_files

        folder = chosen.get(option)
        inner = kind.partition("/")[2]
        return data_files(kind, ending, Path(folder) / inner if folder else None)

    return names


def _learners(chosen: dict[str, Any]) -> Iterable[str]:
    from llm_icl.learners import learners

    return sorted(name for name, _ in learners.items())


def _models(chosen: dict[str, Any]) -> Iterable[str]:
    """The catalogue's, and the networks of training runs."""
    from llm_icl.backends.catalogue import model_names

    own = chosen.get("catalogue")
    networks = [run for run in _runs(chosen) if (Path(run) / "checkpoint.safetensors").is_file()]
    return ["none", *sorted(model_names(Path(own) if own else None)), *networks]


def _architectures(chosen: dict[str, Any]) -> Iterable[str]:
    """As the mixers' files register them: importing these would import torch."""
    import importlib.util

    package = importlib.util.find_spec("local_models")
    folder = Path(package.origin or "").parent / "mixers" if package else Path()
    return sorted(name for file in folder.glob("*.py") for name in _ARCHITECTURE.findall(file.read_text("utf-8")))


def _runs(chosen: dict[str, Any]) -> Iterable[str]:
    from llm_icl.runs.listing import run_folders

    return sorted(map(str, run_folders(_OUTPUTS)))


_TASKS = _cards("tasks", ".yaml", "tasks_dir")
_PROMPTS = _cards("prompts", ".jinja", "prompts_dir")
_NAMES: dict[str, Names] = {
    **dict.fromkeys(("task", "test", "task_name"), _TASKS),
    **dict.fromkeys(("learner", "candidate"), _learners),
    "model": _models,
    "prompt": _PROMPTS,
    "architecture": _architectures,
    "dataset": _cards("tasks/text", ".yaml", "tasks_dir"),
    "suite": _cards("tasks/suites", ".yaml", "tasks_dir"),
    "runs": _runs,
}
