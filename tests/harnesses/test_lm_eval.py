"""The task folder for lm-evaluation-harness asks what is asked here."""

import importlib.util
import json

import pytest
import yaml

from llm_icl.errors import RequestError
from llm_icl.harnesses import lm_eval
from llm_icl.tasks.options import QueryOptions
from llm_icl.tasks.queries import queries
from tests.conftest import run_cli


def asked(**options):
    return queries(QueryOptions.of({"task": "majority", "n": 3, "points": 6, "problems": 4} | options))


def settings_of(path):
    return yaml.safe_load(path.read_text().replace("!function ", ""))


def test_the_choices_after_the_prompt_are_the_texts_that_are_compared_here(tmp_path):
    (one,) = asked(prompt="basic:labels=no/yes", positions="0,5")
    (name,) = lm_eval.export([one], tmp_path / "tasks")
    settings = settings_of(tmp_path / "tasks" / f"{name}.yaml")
    rows = [json.loads(line) for line in (tmp_path / "tasks" / f"{name}.jsonl").read_text().splitlines()]
    assert len(rows) == 8
    for row, (_, rendered) in zip(rows, one.rendered(), strict=True):
        assert row[settings["doc_to_text"]] == rendered.completion()
        assert row[settings["doc_to_choice"]] == ["no", "yes"]
        i = one.problems.indices.tolist().index(row["problem"])
        assert row[settings["doc_to_target"]] == ("no", "yes")[one.problems.ys[i, row["position"]]]
    # A longer prompt goes on as the shorter one does with a choice.
    longer = next(row["text"] for row in rows if row["position"] == 5)
    shorter = next(row["text"] for row in rows if row["position"] == 0)
    shown = ("no", "yes")[one.problems.shown[0, 0]]
    assert longer.startswith(shorter + settings["target_delimiter"] + shown)


def test_the_rows_are_read_wherever_the_folder_is(tmp_path, monkeypatch):
    (name,) = lm_eval.export(asked(), tmp_path / "tasks")
    (tmp_path / "tasks").rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    settings = settings_of(tmp_path / "moved" / f"{name}.yaml")
    module, _, function = settings["custom_dataset"].rpartition(".")
    specification = importlib.util.spec_from_file_location(module, tmp_path / "moved" / f"{module}.py")
    reader = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(reader)
    found = getattr(reader, function)(**settings["metadata"], **settings["dataset_kwargs"])
    assert found[settings["test_split"]].num_rows == 24


def test_each_task_and_n_is_a_task_of_its_own(tmp_path):
    done = run_cli(
        *"export-tasks tasks --to lm-eval --task majority,parity:noise=0.1 --n 3,4 --points 5 --problems 2".split(),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    names = done.stdout.split()
    assert len(set(names)) == 4
    assert all(name.isidentifier() for name in names)
    assert {path.stem for path in (tmp_path / "tasks").glob("*.yaml")} == set(names)
    assert {settings_of(path)["tag"] for path in (tmp_path / "tasks").glob("*.yaml")} == {"llm_icl"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"prompt": "chat-turns"}, "has turns"),
        ({"prompt": "pac-step-by-step", "task": "conjunction-llm"}, "asks for more than the label"),
        ({"prompt": "basic,instruction"}, "takes one prompt"),
        ({"positions": "6"}, "out of range"),
    ],
)
def test_what_the_harness_cannot_ask_is_refused(tmp_path, options, said):
    with pytest.raises(RequestError, match=said):
        lm_eval.export(asked(**options), tmp_path / "tasks")
    assert not (tmp_path / "tasks").exists()


def test_a_folder_is_not_written_over(tmp_path):
    lm_eval.export(asked(), tmp_path / "tasks")
    with pytest.raises(RequestError, match="already exists"):
        lm_eval.export(asked(), tmp_path / "tasks")
