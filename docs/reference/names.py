"""The reference pages of all that has a name, made from the sources: `python docs/reference/names.py` writes them."""

import dataclasses
import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from llm_icl.backends.base import backends  # noqa: E402
from llm_icl.backends.catalogue import model_names  # noqa: E402
from llm_icl.config.cards import read_card  # noqa: E402
from llm_icl.config.options import declared  # noqa: E402
from llm_icl.config.specs import Spec, written  # noqa: E402
from llm_icl.experiments.evaluation.options import EvaluationOptions  # noqa: E402
from llm_icl.experiments.finetuning.measures import MEASURES  # noqa: E402
from llm_icl.experiments.finetuning.options import ComparisonOptions  # noqa: E402
from llm_icl.experiments.finetuning.text_tasks import FIELDS, load_text_task, text_task_names  # noqa: E402
from llm_icl.experiments.training.options import TrainingOptions  # noqa: E402
from llm_icl.function_classes import function_classes  # noqa: E402
from llm_icl.learners import learners  # noqa: E402
from llm_icl.prompting import load_prompt  # noqa: E402
from llm_icl.prompting.templates import prompt_names  # noqa: E402
from llm_icl.suites import comparisons, evaluations, trainings  # noqa: E402
from llm_icl.suites.cards import suite_names  # noqa: E402
from llm_icl.tasks.cards import load_task, task_names  # noqa: E402
from local_models.architectures import architectures  # noqa: E402

FOLDER = Path(__file__).parent
MADE = "<!-- Made by docs/reference/names.py from the sources: change those, not this page. -->"

INTRODUCTIONS = {
    "tasks": """# Tasks

A task is a card in `tasks/`: a function class with its parameters, and how inputs are drawn. What the options
`noise`, `bias`, `planted`, `teaching` and `drop-constant` mean, and how to write a card: [tasks, prompts and
learners](../guide/tasks-and-prompts.md#tasks). `llm-icl show problem NAME` draws one.

A function of your own needs no card: `expr: FORMULA` is a formula such as `expr: (x1 & ~x3) | x7`, and `table: BITS`
the 2^n labels.
""",
    "learners": """# Learners

Classical learners and exact Bayes: `--learner NAME:option=value`. Those that suit a task are run where none is named.
All see the same problems as the models, and at each position the examples before it. How exact Bayes is computed, and
where it is a ceiling: [exact Bayes](../design/bayes.md).
""",
    "architectures": """# Architectures

Networks that `llm-icl train --architecture NAME:option=value` trains: blocks of a mixer, which passes information
between tokens, and an MLP. Symbols: T tokens, D width, H heads, P width of a head, N states. A language model of
[`llm-icl list models`](models.md) is an architecture too ([a frozen language
model](../guide/training.md#a-frozen-language-model)).
""",
    "models": """# Models

The catalogue, `llm_icl/backends/catalogue.yaml`: names for `--model`. Any other model is named by its backend,
`BACKEND/IDENTIFIER`, by a folder, a GGUF file or a training run ([what `--model`
takes](../guide/evaluating.md#what---model-takes)). Prices are US dollars per million tokens, as public lists had them
on the day given; your own entries: [hosted models](../guide/hosted-models.md#your-own-models).
""",
    "prompts": """# Prompts

Templates in `prompts/`, for `--prompt NAME`, with the options `inputs` (`spaced`, `compact`, `words`, `list`) and
`labels` (`ZERO/ONE`). Their fields, and templates of your own: [tasks, prompts and
learners](../guide/tasks-and-prompts.md#prompts). `llm-icl show prompt NAME` prints what a model would get.
""",
    "texts": """# Data sets

Labelled texts, for `llm-icl finetune-vs-icl --dataset NAME`: cards in `tasks/text/`. A set of your own: [texts of
your own](../guide/texts.md).
""",
    "measures": """# Measures of similarity

What `llm-icl finetune-vs-icl` measures, at the last token of a query, layer by layer, averaged over layers and
queries. Each is compared with the same measure of random updates of the weights, those that are *controlled* also
with that of the controls; why, and where the published code does otherwise: [the design
note](../design/finetuning.md). Accuracies and Rec2FTP: [metrics](metrics.md#in-context-learning-against-finetuning).
""",
    "suites": """# Suites

A suite is a YAML file for `llm-icl run` ([how it is written](../guide/suites.md)). Values are checked like the options
of the command with the same name.

| key of every suite | what it is |
| --- | --- |
| `kind` | what each cell is: `eval` (the default), `identify`, `train` or `finetune-vs-icl` |
| `description` | a line for lists |
| `matrix` | lists of values for axes: a cell for each combination |
| `overrides` | settings that hold at some points of the matrix: a list, each with `when` |
| `scales` | by name (`--scale NAME`), the keys and axes that replace these |
| `published` | what a paper says, as comparisons: `says`, `task`, `n`, `first`, `second`, `expected`, `reason` |
""",
}


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def listed(facts: Mapping[str, str]) -> str:
    return "\n".join(f"- {name}: {fact}" for name, fact in facts.items() if fact) + "\n"


def case_of(case: Mapping[str, Any]) -> str:
    """The parameters of a task, or of one of its cases."""
    given = ", ".join(f"`{key}={written(value)}`" for key, value in case.items() if key != "up-to")
    return f"{given} up to n = {case['up-to']}" if "up-to" in case else given


def text_of(thing: Any) -> list[str]:
    """The paragraphs of a docstring, each on one line."""
    return [" ".join(part.split()) for part in (inspect.getdoc(thing) or "").split("\n\n")]


def options_of(given: Mapping[str, Any]) -> str:
    options = ", ".join(f"`{name.replace('_', '-')}={written(value)}`" for name, value in given.items())
    return f"Options and defaults: {options}." if options else "No options."


def fields_of(kind: Any) -> dict[str, Any]:
    return {one.name: one.default for one in dataclasses.fields(kind)}


def tasks() -> Iterator[str]:
    for name in task_names():
        task = load_task(Spec(name))
        yield f"## {name}\n\n{sentence(task.description)}"
        cases = task.parameters if isinstance(task.parameters, Sequence) else [task.parameters]
        facts = {"function class": f"[{task.function_class}](#{task.function_class}-functions)"}
        facts |= {"parameters": "; ".join(filter(None, map(case_of, cases)))}
        usual = fields_of(type(task))
        for key in ("planted", "bias", "noise", "drop_constant", "teaching", "source"):
            if (value := getattr(task, key)) != usual[key]:
                facts[key.replace("_", "-")] = written(value)
        yield listed(facts)
    yield "## Function classes\n\nTheir options are the `parameters` of cards, and follow a task's name.\n"
    for name, kind in function_classes.items():
        yield f"### {name} functions\n"
        yield from (f"{part}\n" for part in text_of(kind))
        given = {
            one.name: "" if one.default is dataclasses.MISSING else one.default for one in dataclasses.fields(kind)
        }
        yield options_of(given) + "\n"


def learners_page() -> Iterator[str]:
    for name, learner in learners.items():
        yield "\n".join(
            [f"## {name}\n", *(f"{part}\n" for part in text_of(learner)), options_of(fields_of(learner)), ""]
        )


def architectures_page() -> Iterator[str]:
    for name, one in architectures().items():
        yield f"## {name}\n\n{sentence(one.description)}"
        for mixer in one.mixers:
            yield from (f"{part}\n" for part in text_of(mixer))
        facts = {
            "recurrent form": all(mixer.recurrent for mixer in one.mixers),
            "more points than in training": not any(mixer.bounded or mixer.needs_positions for mixer in one.mixers)
            and one.options.get("positions") != "learned",
            "attention weights (`probe`)": any(mixer.has_weights for mixer in one.mixers),
        }
        yield " · ".join(f"{fact}: {'yes' if holds else 'no'}" for fact, holds in facts.items()) + "\n"
        yield options_of(one.options) + "\n"


def models() -> Iterator[str]:
    known = model_names(None)
    usual = ("name", "description", "backend and identifier", "context, tokens")
    for heading, priced, more in (
        ("Hosted models", True, ("input, $", "output, $", "prices of")),
        ("Models with open weights", False, ("memory, GB",)),
    ):
        rows = []
        for name, entry in known.items():
            if bool(entry.price) is priced:
                price = [f"{entry.price[key]:g}" for key in ("input", "output") if key in entry.price]
                end = [*price, entry.priced] if priced else [f"{entry.memory:g}" if entry.memory else ""]
                identifier = f"`{entry.backend}/{entry.identifier}`"
                context = f"{entry.context:,}" if entry.context else ""
                rows.append((f"`{name}`", entry.description, identifier, context, *end))
        yield f"## {heading}\n"
        yield table((*usual, *more), rows)
    yield "## Backends\n\nWho runs a model, and the options that may follow its name.\n"
    for name, backend in backends.items():
        yield "\n".join([f"### {name}\n", *(f"{part}\n" for part in text_of(backend))])


def prompts() -> Iterator[str]:
    for name, path in prompt_names().items():
        prompt = load_prompt(Spec(name))
        yield f"## {name}\n\n{sentence(prompt.description)}"
        written_out = f"in a reply of at most {prompt.max_tokens} tokens, from which the label is parsed"
        facts = {
            "source": prompt.source,
            "answered": "the label comes next: its probability is read" if prompt.label_comes_next else written_out,
            "needs of the task's card": ", ".join(f"`{one}`" for one in prompt.needs),
        }
        yield listed(facts)
        yield f"```jinja\n{path.read_text(encoding='utf-8').strip()}\n```\n"


def texts() -> Iterator[str]:
    for name in text_task_names():
        loaded = load_text_task(name)
        yield f"## {name}\n\n{sentence(loaded.description)}"
        rows = {key: getattr(loaded, key) for key in FIELDS if key not in ("description", "labels", "template")}
        rows |= {"labels": ", ".join(loaded.labels), "template": f"`{' ⏎ '.join(loaded.template.splitlines())}`"}
        yield table(("field", "value"), ((f"`{key}`", str(value)) for key, value in rows.items() if value))


def measures() -> Iterator[str]:
    rows = [(one.name, one.note or f"SimAOU, {one.comparand}.", "yes" if one.controlled else "") for one in MEASURES]
    yield table(("measure", "what it is", "controlled"), rows)


def suites() -> Iterator[str]:
    # Settings of a training suite that its evaluation takes.
    shared = {one.name: one for one in declared(EvaluationOptions)}
    kinds = {
        name: (evaluations.AXES, evaluations.DEFAULT_AXES, kind.defaults(), type(kind.options))
        for name, kind in evaluations.KINDS.items()
    }
    kinds["train"] = (trainings.AXES, trainings.DEFAULT_AXES, trainings.SETTINGS, TrainingOptions)
    kinds["finetune-vs-icl"] = (comparisons.AXES, {}, comparisons.SETTINGS, ComparisonOptions)
    for name, (axes, axis_defaults, settings, options) in kinds.items():
        own = {
            name.replace("_", "-"): one.text for name, one in (shared | {o.name: o for o in declared(options)}).items()
        }
        yield f"## kind: {name}\n"
        rows = [(f"`{axis}`", "axis", _default(axis_defaults.get(axis, "**required**")), own[axis]) for axis in axes]
        rows += [(f"`{key}`", "setting", _default(value), own[key]) for key, value in settings.items()]
        yield table(("key", "is", "default", "what it does"), rows)
    yield "## Suites that are shipped\n"
    rows = []
    for name, path in suite_names().items():
        card = read_card(path)
        scales = ", ".join(("laptop", *card.fields.get("scales", {})))
        rows.append((f"`{name}`", str(card.fields.get("kind", "eval")), scales, card.text("description")))
    yield table(("name", "kind", "scales", "description"), rows)


def _default(value: Any) -> str:
    if isinstance(value, str) and value.startswith("**"):
        return value
    values = value if isinstance(value, list | tuple) else [value]
    return ", ".join(f"`{written(one)}`" for one in values if one not in (None, "")) or "none"


def sentence(text: str) -> str:
    """Descriptions of lists begin small and end without a stop."""
    text = " ".join(text.split())
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}\n"


def pages() -> dict[str, str]:
    """The text of each page, by file name."""
    parts = {
        "tasks": tasks(), "learners": learners_page(), "architectures": architectures_page(), "models": models(),
        "prompts": prompts(), "texts": texts(), "suites": suites(), "measures": measures(),
    }  # fmt: skip
    return {
        f"{name}.md": "\n".join([INTRODUCTIONS[name], MADE, "", *blocks]).rstrip() + "\n"
        for name, blocks in parts.items()
    }


if __name__ == "__main__":
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
