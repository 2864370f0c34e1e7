"""The documents say what is so: their commands are valid, their links lead somewhere, and nothing is left out."""

import ast
import dataclasses
import importlib.util
import re
import shlex
from pathlib import Path

import click
import pytest

from llm_icl.backends.catalogue import find_model
from llm_icl.cli.main import cli
from llm_icl.config.options import Declared, declared
from llm_icl.config.specs import parse_specs
from llm_icl.experiments.finetuning.text_tasks import load_text_task
from llm_icl.experiments.kinds import experiments
from llm_icl.experiments.tally import Tally
from llm_icl.learners import learner_of
from llm_icl.networks.named import split_models
from llm_icl.networks.shapes import pretrained_entry
from llm_icl.predictions import COLUMNS
from llm_icl.prompting import load_prompt
from llm_icl.runs import RunRecord
from llm_icl.suites.cards import find_suite
from llm_icl.suites.options import SuiteOptions
from llm_icl.tasks.cards import load_task
from llm_icl.tasks.options import PREFIX, QueryOptions, SamplingOptions
from local_models.architectures import architectures
from tests.running import shown_commands, shown_files

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "outputs/README.md")),
    *(path for path in sorted((ROOT / "docs").rglob("*.md")) if path.name != "report.md"),
]
SCRIPTS = sorted((ROOT / "docs").rglob("*.sbatch"))
DECLARED = {"run": SuiteOptions, "sample": SamplingOptions, "export-tasks": QueryOptions} | {
    name: kind.options for name, kind in experiments.items()
}
# The functions of the Python API, and the command that each is like.
FUNCTIONS = {"evaluate": "eval", "train": "train", "identify": "identify", "probe": "probe",
             "finetune_vs_icl": "finetune-vs-icl", "draw": "sample"}  # fmt: skip


def _load(path):
    specification = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def _name(page):
    return str(page.relative_to(ROOT))


def made_names(page):
    """The names that a page itself makes, by files that it shows and by what is registered in them."""
    files = shown_files(page)
    registered = re.compile(r'@(?:learners\.register|architecture)\("([\w-]+)"')
    return {Path(name).stem for name in files} | set(registered.findall("".join(files.values())))


def mentioned_commands(page):
    """Those between backticks in running text, which may leave out what must be there."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [shlex.split(code)[1:] for code in re.findall(r"`(llm-icl\s[^`]+)`", text)]


SHOWN = [(_name(page), words) for page in (*PAGES, *SCRIPTS) for words in shown_commands(page)]
MENTIONED = [(_name(page), words) for page in PAGES for words in mentioned_commands(page)]


def command_of(words):
    """The verb, its command and the arguments that are left: `show learner NAME` has a verb of two words."""
    context = click.Context(cli)
    name, *rest = words
    command = cli.get_command(context, name)
    assert command is not None, f"there is no command {name}"
    if isinstance(command, click.Group) and rest:
        assert rest[0] in command.commands, f"there is no {name} {rest[0]}"
        return name, command.commands[rest[0]], rest[1:]
    return name, command, rest


def check_names(verb, values, made):
    """Whatever is named exists, or is made by the page: a task, a prompt, a learner, a model, an architecture, a data
    set, a suite.
    """
    tasks = [task.removeprefix(PREFIX) for task in (*listed(values.get("task")), *listed(values.get("test")))]
    kinds = {load_task: tasks, load_prompt: listed(values.get("prompt")), learner_of: listed(values.get("learner"))}
    for load, names in kinds.items():
        for spec in parse_specs(names):
            if spec.name not in made:
                load(spec)
    if values.get("architecture"):
        name = parse_specs([values["architecture"]])[0].name
        assert name in architectures() or name in made or pretrained_entry(name)
    for text in listed(values.get("model")):
        for model in split_models(text):
            if model not in ("none", "MODEL") and not re.match(r"[.]?/|outputs/", model):
                find_model(model)
    if values.get("dataset") and values["dataset"] not in {*made, "SET"}:
        load_text_task(values["dataset"])
    if verb == "run" and not values["suite"].endswith(".yaml"):
        find_suite(values["suite"])


def listed(value):
    return [] if value is None else [value] if isinstance(value, str) else list(value)


@pytest.mark.parametrize(("page", "words"), SHOWN, ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_a_command_in_a_document_is_valid(page, words, monkeypatch):
    monkeypatch.setattr(Declared, "_path", lambda self, path: path)  # the reader's files and folders
    verb, command, rest = command_of(words)
    values = command.make_context(verb, list(rest)).params
    if verb in DECLARED:
        names = {one.name for one in declared(DECLARED[verb])}
        DECLARED[verb].of({name: value for name, value in values.items() if name in names and value is not None})
    check_names(verb, values, made_names(ROOT / page))


@pytest.mark.parametrize(("page", "words"), MENTIONED)
def test_a_command_that_a_text_mentions_has_these_options(page, words):
    if words[0].isupper() or words[0].startswith("-"):  # llm-icl COMMAND, llm-icl --help
        return
    _, command, rest = command_of(words)
    command.make_parser(click.Context(command)).parse_args([word for word in rest if word not in ("…", "[OPTIONS]")])


def test_no_line_is_a_comment_to_the_site():
    """The site leaves out a line that begins with a per cent sign, in reports of the examples too."""
    pages = [*PAGES, ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("report.md")]
    lost = {_name(page): re.findall(r"^\s*%.*", page.read_text(encoding="utf-8"), re.MULTILINE) for page in pages}
    assert not {page: lines for page, lines in lost.items() if lines}


def test_every_command_is_shown_somewhere():
    assert {words[0] for _, words in SHOWN} >= set(cli.list_commands(click.Context(cli)))


def anchors(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_a_link_leads_to_a_file_and_a_heading_that_exist(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), f"{_name(page)} links to {target}"
        assert not anchor or anchor in anchors(file), f"{_name(page)} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_a_file_that_a_document_names_exists(page):
    """Design notes leave llm_icl/ out. Names in capitals stand for others, and runs are not here."""
    tops = {path.name for folder in (ROOT, ROOT / "llm_icl") for path in folder.iterdir() if path.is_dir()} - {
        "outputs"
    }
    for name in set(re.findall(r"`((?:[\w.-]+/)+[\w.-]*)`", page.read_text(encoding="utf-8"))) - set(shown_files(page)):
        if name.split("/")[0] in tops and not re.search(r"\b[A-Z]{2,}\b", name):
            assert any((folder / name).exists() for folder in (ROOT, ROOT / "llm_icl")), f"{_name(page)} names {name}"


def test_the_reference_is_what_the_sources_declare():
    folder = ROOT / "docs" / "reference"
    commands, names, api = (_load(folder / f"{name}.py") for name in ("commands", "names", "api"))
    for name, made in (names.pages() | {"commands.md": commands.page(), "api.md": api.page()}).items():
        assert (folder / name).read_text(encoding="utf-8") == made, f"{name} is not current: run make docs"


def test_the_reference_of_files_has_every_field_and_column():
    text = (ROOT / "docs" / "reference" / "files.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)`(?:, `\w+`)* \| (.*) \|$", text, flags=re.MULTILINE))
    for kind in (RunRecord, Tally):
        for field in dataclasses.fields(kind):
            assert f"`{field.name}`" in text, field.name
    for column in COLUMNS:
        assert column in rows, column


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_python_in_a_document_calls_functions_with_options_that_they_have(page):
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("llm_icl."):
                name = ast.unparse(node.func).removeprefix("llm_icl.")
                if name in ("load", "report"):
                    continue
                verb = FUNCTIONS[name]
                known = {one.name for one in declared(DECLARED[verb])} | {"out", "keep_old", "on_progress"}
                assert {keyword.arg for keyword in node.keywords} <= known
