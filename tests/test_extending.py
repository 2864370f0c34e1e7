"""What is added from outside is one file: found by an entry point or in a folder, used through the command line."""

import json
import os
import re
import textwrap

import pytest

from llm_icl.config.registry import Registry
from llm_icl.errors import RequestError
from tests.conftest import run_cli

LEARNER = '''
"""The opposite of the last label."""
from dataclasses import dataclass

import numpy as np

from llm_icl.learners import Learner, learners
from llm_icl.problems import Answers


@learners.register("contrarian")
@dataclass(frozen=True)
class Contrarian(Learner):
    """Answers the opposite of the last label, or `first` where there is none."""

    first: int = 0

    def answer(self, problems):
        earlier = np.roll(problems.shown, 1, axis=1)  # (N, m)
        prediction = 1 - earlier
        prediction[:, 0] = self.first
        return Answers.from_prediction(prediction)
'''

FUNCTION_CLASS = '''
"""One bit of the input."""
from dataclasses import dataclass

import numpy as np

from llm_icl.function_classes import FunctionClass, function_classes


@function_classes.register("dictator")
@dataclass(frozen=True)
class Dictator(FunctionClass):
    """f(x) = x_i for a uniformly drawn i."""

    def draw(self, source, n):
        return {"bit": source.integers("bit", 0, n - 1)}

    def evaluate(self, parameters, xs):
        return np.take_along_axis(xs, parameters["bit"][:, None, None], axis=2)[:, :, 0]  # (F, m)

    def is_constant(self, parameters):
        return np.zeros(len(parameters["bit"]), dtype=bool)
'''

EXPERIMENT = '''
"""How often each label comes."""
import json
from dataclasses import dataclass

from llm_icl.config.options import Options, option
from llm_icl.experiments.base import Experiment
from llm_icl.experiments.kinds import experiments
from llm_icl.reports.document import Column, Report, Section, Table
from llm_icl.runs import digest
from llm_icl.tasks.drawing import draw
from llm_icl.tasks.options import DrawingOptions


@dataclass(frozen=True, kw_only=True)
class CountOptions(DrawingOptions):
    twice: bool = option(False)
    """Count every label twice."""


@experiments.register("count-labels")
class CountLabels(Experiment):
    """Count the labels of problems."""

    kind = "count-labels"
    summary = "Count labels."
    options = CountOptions
    needed = ("counts.json",)

    def __init__(self, options):
        self._options = options

    @classmethod
    def of(cls, options):
        return cls(options)

    def record(self):
        return {"task": self._options.task, "n": self._options.n, "problems": self._options.problems,
                "points": self._options.points, "seed": self._options.seed, "twice": self._options.twice}

    def directory_name(self):
        return f"count-{digest(self.record())}"

    def work(self, session, on_progress):
        ones = int(draw(self._options).ys.sum()) * (2 if self._options.twice else 1)
        (session.path / "counts.json").write_text(json.dumps({"ones": ones}))
        session.results["ones"] = ones

    @classmethod
    def report(cls, runs):
        columns = (Column("run", "run", short=True), Column("ones", "ones", "count", short=True))
        rows = tuple({"run": run.path.name, "ones": run.record["ones"]} for run in runs)
        table = Table("counts", "Labels", columns, rows)
        return Report("Labels", sections=(Section("Counts", "counts", (table,)),))
'''


@pytest.fixture
def distribution(tmp_path):
    """Installs a distribution of one module with one entry point. Returns the environment that sees it."""

    def install(group, source):
        folder = tmp_path / "site"
        about = folder / "an_extension-1.0.dist-info"
        about.mkdir(parents=True)
        (folder / "an_extension.py").write_text(source)
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: an-extension\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[{group}]\nan_extension = an_extension\n")
        return os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}

    return install


MIXER = '''
from local_models.architectures import architecture
from local_models.mixers.base import Mixer


@architecture("retnet", "not that one")
class Another(Mixer):
    """Another."""
'''

BACKEND = '''
from llm_icl.backends.base import LanguageModel, backends


@backends.register("hf")
class Another(LanguageModel):
    """Another."""
'''


@pytest.mark.parametrize(
    ("group", "source", "command", "said"),
    [
        ("learners", LEARNER.replace("contrarian", "averaging"), "list learners", "learner 'averaging'"),
        (
            "function_classes",
            FUNCTION_CLASS.replace("dictator", "parity"),
            "show problem majority",
            "function class 'parity'",
        ),
        ("experiments", EXPERIMENT.replace('"count-labels"', '"eval"'), "--help", "experiment 'eval'"),
        ("experiments", EXPERIMENT.replace('"count-labels"', '"eval"'), "eval --dry-run", "experiment 'eval'"),
        ("experiments", EXPERIMENT.replace('"count-labels"', '"eval"'), "list tasks", ""),
        ("backends", BACKEND, "show model smollm2-135m", "backend 'hf'"),
        ("mixers", MIXER, "list architectures", "architectures are named 'retnet'"),
    ],
)
def test_a_name_that_is_taken_is_one_clear_error(distribution, tmp_path, group, source, command, said):
    done = run_cli(*command.split(), cwd=tmp_path, env=distribution(f"llm_icl.{group}", source))
    assert done.returncode == (2 if said else 0), done.stderr
    assert done.stderr.count("\n") == bool(said)
    assert said in done.stderr
    assert bool(re.search("an.extension", done.stderr)) == bool(said)


@pytest.mark.parametrize("command", ["--help", "eval --help", "identify --help"])
def test_a_broken_experiment_of_another_distribution_takes_none_of_ours_away(distribution, tmp_path, command):
    done = run_cli(
        *command.split(), cwd=tmp_path, env=distribution("llm_icl.experiments", "import nothing_of_this_name")
    )
    assert done.returncode == 0
    assert "Usage: llm-icl" in done.stdout
    assert done.stderr.count("\n") == 1
    assert "cannot be loaded: ModuleNotFoundError: No module named 'nothing_of_this_name'" in done.stderr


def test_a_name_that_is_taken_takes_no_other_away(distribution, tmp_path):
    source = EXPERIMENT.replace('"count-labels"', '"eval"')
    done = run_cli("identify", "--help", cwd=tmp_path, env=distribution("llm_icl.experiments", source))
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_defined_again_replaces_itself_and_an_error_stays_one():
    known = Registry("thing", "tests.servers")

    def define(module):
        return known.register("one")(type("One", (), {"__module__": module}))

    define("a")
    again = define("a")
    assert known.get("one") is again
    with pytest.raises(RequestError, match=r"two entries are named thing 'one', a\.One and b\.One: rename one"):
        define("b")
    assert known.get("one") is again


def rows(done):
    """The rows of all tables in a JSON report."""
    return [
        row for section in json.loads(done.stdout)["sections"] for table in section["tables"].values() for row in table
    ]


def test_a_learner(distribution, tmp_path):
    env = distribution("llm_icl.learners", LEARNER)
    assert "contrarian" in run_cli("list", "learners", cwd=tmp_path, env=env).stdout
    assert "first=0" in run_cli("show", "learner", "contrarian", cwd=tmp_path, env=env).stdout
    command = (
        "eval --model none --task full-majority --n 1 --points 9 --problems 20 --learner contrarian:first=1 --json"
    )
    done = run_cli(*command.split(), cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    assert [row["learner"] for row in rows(done)] == ["contrarian:first=1"]


def test_a_function_class_and_a_task(distribution, tmp_path):
    env = distribution("llm_icl.function_classes", FUNCTION_CLASS)
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "dictators.yaml").write_text("description: one bit decides\nfunction-class: dictator\n")
    assert "one bit decides" in run_cli("list", "tasks", cwd=tmp_path, env=env).stdout
    command = "sample --task dictators:noise=0.2 --n 4 --points 30 --problems 5 --to drawn.jsonl"
    assert run_cli(*command.split(), cwd=tmp_path, env=env).returncode == 0
    for line in (tmp_path / "drawn.jsonl").read_text().splitlines():
        drawn = json.loads(line)
        bit = json.loads(drawn["parameters"])["bit"]
        assert drawn["labels"] == [point[bit] for point in drawn["inputs"]]


def test_a_prompt(tmp_path):
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "arrows.jinja").write_text(
        textwrap.dedent(
            """\
            ---
            description: arrows
            ---
            {% for example in examples %}{{ example.input }} -> {{ example.label }}
            {% endfor %}{{ query }} ->"""
        )
    )
    assert "arrows" in run_cli("list", "prompts", cwd=tmp_path).stdout
    done = run_cli(*"show prompt arrows --task parity --n 2 --position 3".split(), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("->") >= 4


def test_a_kind_of_experiment(distribution, tmp_path):
    env = distribution("llm_icl.experiments", EXPERIMENT)
    assert "Count labels." in run_cli("--help", cwd=tmp_path, env=env).stdout
    assert "Count every label twice." in run_cli("count-labels", "--help", cwd=tmp_path, env=env).stdout
    command = "count-labels --task parity --n 3 --points 10 --problems 6"
    done = run_cli(*command.split(), "--out", "one", cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    ones = json.loads((tmp_path / "one" / "run.json").read_text())["ones"]
    assert str(ones) in done.stdout
    assert (tmp_path / "one" / "report.html").is_file()
    twice = run_cli(*command.split(), "--twice", "--out", "two", "--json", cwd=tmp_path, env=env)
    assert rows(twice) == [{"run": "two", "ones": 2 * ones}]
    assert "already contains a different run" in run_cli(*command.split(), "--out", "two", cwd=tmp_path, env=env).stderr
    both = run_cli("report", "one", "two", "--json", cwd=tmp_path, env=env)
    assert rows(both) == [{"run": "one", "ones": ones}, {"run": "two", "ones": 2 * ones}]
