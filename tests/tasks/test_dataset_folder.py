"""A dataset folder is what its card says, and `datasets` loads it."""

import re
import shlex

import pytest
import yaml
from datasets import load_dataset

from llm_icl.config.specs import parse_specs
from llm_icl.tasks.cards import load_task
from llm_icl.tasks.drawing import draw_problems
from tests.inside import run_inside

COMMAND = "sample --task majority,conjunction:noise=0.1 --n 3,5 --points 6 --problems 4 --seed 7 --to FOLDER"


def written(folder, command=COMMAND):
    done = run_inside(*shlex.split(command.replace("FOLDER", "dataset")), cwd=folder)
    assert done.returncode == 0, done.stderr
    card = (folder / "dataset" / "README.md").read_text()
    _, head, body = card.split("---\n", 2)
    return yaml.safe_load(head), body, load_dataset(str(folder / "dataset"), cache_dir=str(folder / "cache"))


def table(body, title):
    """The cells of the card's table under a title, without its head."""
    section = body.partition(f"## {title}\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split(" | ") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip(" `") for cell in row] for row in rows[2:]]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return written(tmp_path_factory.mktemp("problems"))


def test_splits_counts_and_columns_are_those_of_the_card(dataset):
    head, body, loaded = dataset
    (config,) = head["configs"]
    assert [file["split"] for file in config["data_files"]] == list(loaded)
    assert {row[0]: int(row[3]) for row in table(body, "Splits")} == {name: len(rows) for name, rows in loaded.items()}
    assert len(loaded) == 4
    for rows in loaded.values():
        assert rows.column_names == [row[0] for row in table(body, "Columns")]
    for split, task, n, *_ in table(body, "Splits"):
        assert set(loaded[split]["task"]) == {task}
        assert set(loaded[split]["n"]) == {int(n)}


def test_the_cards_command_draws_the_same_rows_again(dataset, tmp_path):
    _, body, loaded = dataset
    (command,) = re.findall(r"^    llm-icl (.*)$", body, re.MULTILINE)
    assert shlex.split(command) == shlex.split(COMMAND)
    *_, again = written(tmp_path, command)
    assert {name: list(rows) for name, rows in again.items()} == {name: list(rows) for name, rows in loaded.items()}


def test_the_rows_are_the_problems_of_the_seed(dataset):
    _, body, loaded = dataset
    for split, task, n, *_ in table(body, "Splits"):
        drawn = draw_problems(load_task(parse_specs([task])[0]), int(n), 6, 4, seed=7)
        assert loaded[split]["inputs"] == drawn.xs.tolist()
        assert loaded[split]["labels"] == drawn.ys.tolist()


def test_the_card_says_licence_versions_and_sources(dataset):
    head, body, _ = dataset
    assert head["license"] == "apache-2.0"
    assert "llm-icl 0.1.0" in body
    assert load_task(parse_specs(["majority"])[0]).source in body


@pytest.mark.parametrize(
    "command",
    [
        "sample --task majority --n 3 --points 4 --problems 2 --prompts --prompt chat-turns --to FOLDER",
        "sample --task majority --n 3 --points 4 --problems 2 --prompts --positions 0,3 --to FOLDER",
        "sample --task probe:majority --n 4 --problems 2 --examples 3 --queries 2 --to FOLDER",
    ],
)
def test_prompts_and_probes_have_cards_too(tmp_path, command):
    _, body, loaded = written(tmp_path, command)
    (rows,) = loaded.values()
    assert rows.column_names == [row[0] for row in table(body, "Columns")]
    assert int(table(body, "Splits")[0][3]) == len(rows)
    assert command.removesuffix(" --to FOLDER").removeprefix("sample ").split()[1] in body


def test_a_dataset_of_prompts_comes_back(tmp_path):
    written(tmp_path, "sample --task majority --n 3 --points 3 --problems 2 --prompts --to FOLDER")
    done = run_inside("import", "dataset", cwd=tmp_path)
    assert done.returncode == 2
    assert "has no answers" in done.stderr


def test_several_tables_do_not_fit_into_a_file_and_names_differ(tmp_path):
    for target in ("x.jsonl", "x.npz"):
        done = run_inside(*shlex.split(COMMAND.replace("FOLDER", target)), cwd=tmp_path)
        assert done.returncode == 2
        assert "do not fit into" in done.stderr
    written(tmp_path)
    done = run_inside("import", "dataset", cwd=tmp_path)
    assert "has 4 splits: give the file of one" in done.stderr
