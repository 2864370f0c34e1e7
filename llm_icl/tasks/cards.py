"""Loads tasks: the cards in `tasks/`, their options, and user-defined formulas."""

import dataclasses
from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import Any

from llm_icl.config.cards import Card, read_card
from llm_icl.config.files import data_files
from llm_icl.config.specs import Spec, make, only_known
from llm_icl.errors import RequestError, unknown_name
from llm_icl.function_classes import function_classes
from llm_icl.problems import TASK_TEXTS, Task

_LAW = ("planted", "bias", "noise", "drop-constant", "teaching")
_FIELDS = ("function-class", "parameters", *_LAW, *TASK_TEXTS)

# The meaning of `--task "NAME: TEXT"`.
_OWN = {
    "expr": ("expression", "a formula of the user's own"),
    "table": ("truth-table", "a truth table of the user's own"),
}


def task_names(tasks_dir: Path | None = None) -> dict[str, Path]:
    """The available cards, by name."""
    return data_files("tasks", ".yaml", tasks_dir)


def load_task(spec: Spec, tasks_dir: Path | None = None) -> Task:
    """Load a task by name and options. Raises RequestError for an invalid name, option or card."""
    options = spec.mapping()
    if spec.name in _OWN:
        function_class, description = _OWN[spec.name]
        if "text" not in options:
            raise RequestError(f"'{spec.name}' requires a text: write '{spec.name}: ...'")
        text = str(options["text"])
        return Task(
            str(spec), function_class, {"text": text}, description=description, definition=f"{spec.name} {text}"
        )
    paths = task_names(tasks_dir)
    if spec.name not in paths:
        raise unknown_name("task", spec.name, paths, "; or 'expr: FORMULA', 'table: BITS'")
    task = read_task(paths[spec.name])
    only_known("task", str(spec), options, (*_LAW, *signature(function_classes.get(task.function_class)).parameters))
    law = {key: value for key, value in options.items() if key in _LAW}
    parameters = {key: value for key, value in options.items() if key not in _LAW}
    changed = parse_options(Card(f"task '{spec}'", law, {}), task)
    return dataclasses.replace(changed, name=str(spec), parameters=_merged(task, parameters))


def read_task(path: Path) -> Task:
    """The task of a card."""
    card = read_card(path).only(_FIELDS, ["function-class"])
    name = card.text("function-class")
    known = [entry for entry, _ in function_classes.items()]
    if name not in known:
        raise card.error(str(unknown_name("function class", name, known)), "function-class")
    parameters: Any = card.fields.get("parameters", {})
    cases = parameters if isinstance(parameters, list) else [parameters]
    if not all(isinstance(case, dict) and all(isinstance(key, str) for key in case) for case in cases):
        raise card.error("'parameters' must be 'option: value' lines, or a list of such cases", "parameters")
    for case in cases:
        if type(case.get("up-to", 0)) is not int:
            raise card.error("'up-to' must be a whole number", "parameters")
        try:
            make("task", path.stem, function_classes.get(name), {k: v for k, v in case.items() if k != "up-to"})
        except RequestError as problem:
            raise card.error(str(problem), "parameters") from None
    description, definition, algorithm, source = (card.text(key).strip() for key in TASK_TEXTS)
    task = Task(
        path.stem, name, parameters, description=description, definition=definition, algorithm=algorithm, source=source
    )
    return parse_options(card, task)


def parse_options(card: Card, task: Task) -> Task:
    """The task with the options of the card that belong to every task."""
    return dataclasses.replace(
        task,
        planted=card.probability("planted", task.planted),
        bias=card.probability("bias", task.bias),
        noise=card.probability("noise", task.noise),
        teaching=_teaching(card, task),
        drop_constant=card.flag("drop-constant", task.drop_constant),
    )


def _teaching(card: Card, task: Task) -> float:
    """A probability; `teaching=true` is 1."""
    value = card.fields.get("teaching")
    return float(value) if isinstance(value, bool) else card.probability("teaching", task.teaching)


def _merged(task: Task, options: dict[str, Any]) -> Any:
    if isinstance(task.parameters, Mapping):
        return {**task.parameters, **options}
    return [{**case, **options} for case in task.parameters]
