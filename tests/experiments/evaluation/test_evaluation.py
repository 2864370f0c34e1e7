"""Runs: atomic, resumable, and the same whenever they were killed."""

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from llm_icl.asking.cache import Call, CallCache, call_key
from llm_icl.backends.exchange import Reply
from tests.conftest import run_cli
from tests.inside import run_inside
from tests.reports.reading import table_of

COMMAND = "eval --task majority,conjunction --n 3,4 --points 12 --problems 10 --out run".split()


def predictions(folder: Path) -> pl.DataFrame:
    return pl.read_parquet(folder / "run" / "predictions.parquet")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    from tests.conftest import TinyModels

    return str(TinyModels(tmp_path_factory.mktemp("model")).gpt2())


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, model):
    folder = tmp_path_factory.mktemp("undisturbed")
    done = run_inside(*COMMAND, "--model", f"hf/{model}", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_a_run_holds_what_was_asked_of_whom_and_what_came_back(undisturbed, model):
    record = json.loads((undisturbed / "run" / "run.json").read_text())
    assert record["status"] == "complete"
    assert record["models"][f"hf/{model}"]["dtype"] == "float32"
    assert {mode["mode"] for mode in record["modes"]} == {"curve"}
    # Eight curves of ten problems; where all labels of a problem are equal, shuffling them changes nothing.
    assert record["calls"]["new"] + record["calls"]["cached"] == 80
    assert record["calls"]["new"] == count_calls(undisturbed / "calls.sqlite")
    assert record["versions"]["torch"]
    files = {str(path.relative_to(undisturbed / "run")) for path in (undisturbed / "run").rglob("*") if path.is_file()}
    assert files == {
        ".lock", "exchanges.jsonl", "predictions.parquet", "report.html", "report.md", "run.json",
        *(f"problems/{task}-n{n}-s0.npz" for task in ("majority", "conjunction") for n in (3, 4)),
    }  # fmt: skip


def test_every_learner_has_one_row_for_each_position_of_each_problem(undisturbed):
    frame = predictions(undisturbed)
    counts = frame.group_by("learner", "task", "n").len()
    assert set(counts["len"]) == {120}
    keys = ["learner", "task", "n", "seed", "prompt", "problem", "position"]
    assert frame.select(keys).is_unique().all()
    truth = frame.group_by("task", "n", "problem", "position").agg(pl.col("label").n_unique())
    assert set(truth["label"]) == {1}  # all learners were asked the same


def test_the_same_command_again_asks_nothing_and_changes_nothing(undisturbed, model):
    before = (undisturbed / "run" / "predictions.parquet").read_bytes()
    again = run_cli(*COMMAND, "--model", f"hf/{model}", cwd=undisturbed)
    assert again.returncode == 0
    assert "loading" not in again.stderr
    assert (undisturbed / "run" / "predictions.parquet").read_bytes() == before


def test_another_run_of_the_same_prompts_is_answered_from_the_cache(undisturbed, model):
    done = run_inside(*COMMAND[:-1], "second", "--model", f"hf/{model}", "--learner", "averaging", cwd=undisturbed)
    assert done.returncode == 0, done.stderr
    record = json.loads((undisturbed / "second" / "run.json").read_text())
    assert record["calls"] == {"new": 0, "cached": 80}


def test_a_folder_that_holds_another_run_is_refused(undisturbed, model):
    done = run_inside(*COMMAND, "--model", f"hf/{model}", "--seed", "1", cwd=undisturbed)
    assert done.returncode == 2
    assert "already contains a different run" in done.stderr


def test_a_run_killed_at_any_moment_goes_on_and_ends_as_if_undisturbed(undisturbed, model, tmp_path):
    command = [sys.executable, "-c", "from llm_icl.cli.main import main; main()", *COMMAND, "--model", f"hf/{model}"]
    moments = random.Random(1)
    calls, kills = 0, 0
    for _ in range(5):
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        wanted = calls + moments.randint(1, 12)
        while process.poll() is None and time.monotonic() < deadline:
            calls = count_calls(tmp_path / "calls.sqlite")
            if calls >= wanted:
                process.send_signal(signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.005)
        process.wait()
    done = run_inside(*COMMAND, "--model", f"hf/{model}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert kills >= 3
    assert predictions(tmp_path).equals(predictions(undisturbed))
    assert count_calls(tmp_path / "calls.sqlite") == count_calls(undisturbed / "calls.sqlite")
    leftovers = [path.name for path in (tmp_path / "run").rglob(".*") if path.name != ".lock"]
    assert len(leftovers) <= kills  # a file that was being written may remain, under a hidden name


def count_calls(path: Path) -> int:
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
            return int(database.execute("SELECT count(*) FROM calls").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def test_two_processes_cannot_write_one_run(undisturbed, model):
    import fcntl

    path = undisturbed / "run" / "run.json"
    finished = path.read_text()
    path.write_text(finished.replace('"status": "complete"', '"status": "running"'))
    handle = os.open(undisturbed / "run" / ".lock", os.O_RDWR)
    fcntl.flock(handle, fcntl.LOCK_EX)
    done = run_inside(*COMMAND, "--model", f"hf/{model}", cwd=undisturbed)
    os.close(handle)
    path.write_text(finished)
    assert done.returncode == 2
    assert "another process" in done.stderr


def test_runs_are_reported_together(undisturbed, tmp_path):
    done = run_inside(
        *"eval --model none --task majority --n 3 --points 12 --problems 10 --learner perceptron --out other".split(),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    done = run_inside("report", str(undisturbed / "run"), "other", "--out", "both", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    results = table_of(done.stdout, "scores")
    cell = {result["learner"] for result in results if (result["task"], result["n"]) == ("majority", 3)}
    assert {"perceptron", "bayes", "nearest-neighbour"} < cell
    assert (tmp_path / "both" / "report.html").is_file()


def test_a_run_whose_predictions_were_lost_is_made_again_from_the_cache(undisturbed, model):
    before = predictions(undisturbed)
    (undisturbed / "run" / "predictions.parquet").unlink()
    done = run_inside(*COMMAND, "--model", f"hf/{model}", cwd=undisturbed)
    assert done.returncode == 0, done.stderr
    assert predictions(undisturbed).equals(before)


def test_a_run_that_other_versions_made_is_made_again_from_the_cache(undisturbed, model):
    path = undisturbed / "run" / "run.json"
    record, before = json.loads(path.read_text()), predictions(undisturbed)
    path.write_text(json.dumps(record | {"versions": record["versions"] | {"numpy": "0.1"}}))
    before.with_columns(pl.lit(1).alias("label")).write_parquet(undisturbed / "run" / "predictions.parquet")
    done = run_inside(*COMMAND, "--model", f"hf/{model}", cwd=undisturbed)
    assert done.returncode == 0, done.stderr
    assert predictions(undisturbed).equals(before)
    assert json.loads(path.read_text())["calls"] == {"new": 0, "cached": 80}


@pytest.mark.parametrize(
    ("file", "content"),
    [("run.json", "[]"), ("run.json", "{"), ("run.json", '{"status": "complete"}'), ("predictions.parquet", "junk")],
)
def test_a_damaged_run_is_one_clear_line(tmp_path, undisturbed, file, content):
    shutil.copytree(undisturbed / "run", tmp_path / "r")
    (tmp_path / "r" / file).write_text(content)
    done = run_inside("report", "r", cwd=tmp_path)
    assert done.returncode == 2
    assert file in done.stderr
    assert done.stderr.count("\n") == 1


def test_runs_of_two_tasks_of_one_name_are_not_mixed(tmp_path):
    for name, function_class in (("one", "majority"), ("two", "parity")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.yaml").write_text(f"function-class: {function_class}\n")
        words = f"eval --model none --task mine --n 4 --points 6 --problems 4 --tasks-dir {name} --out run-{name}"
        assert run_inside(*words.split(), cwd=tmp_path).returncode == 0
    done = run_inside("report", "run-one", "run-two", cwd=tmp_path)
    assert done.returncode == 2
    assert "different definitions of the task 'mine'" in done.stderr


def test_a_model_that_cannot_be_had_leaves_nothing_behind(tmp_path):
    (tmp_path / "x.gguf").write_bytes(b"nothing")
    done = run_inside(*"eval --model x.gguf --task majority --n 3 --problems 2".split(), cwd=tmp_path)
    assert done.returncode == 2
    assert [path.name for path in tmp_path.iterdir()] == ["x.gguf"]


def test_two_formulas_have_files_of_their_own(tmp_path):
    words = "eval --model none --n 3 --points 4 --problems 2 --out r --task".split()
    done = run_inside(*words, "expr: x1 & x2", "--task", "expr: x1 | x2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "r" / "problems").iterdir())) == 2


def test_the_best_constant_is_the_best_one_for_the_queries_that_were_asked(tmp_path):
    words = "eval --model none --task conjunction:teaching=1 --n 6 --problems 100 --positions 2 --json".split()
    done = run_inside(*words, "--learner", "best-constant", cwd=tmp_path)
    assert table_of(done.stdout, "scores")[0]["average"]["value"] >= 0.5


def test_the_key_of_a_call_holds_the_model_and_the_request():
    one = call_key({"weights": "a"}, {"text": "x"})
    assert one == call_key({"weights": "a"}, {"text": "x"})
    assert len({one, call_key({"weights": "b"}, {"text": "x"}), call_key({"weights": "a"}, {"text": "y"})}) == 3


def test_the_first_reply_to_a_call_stays(tmp_path):
    cache = CallCache(tmp_path / "calls.sqlite")
    cache.put([Call("k", {}, Reply(text="1")), Call("l", {}, Reply(text="3"))])
    CallCache(tmp_path / "calls.sqlite").put([Call("k", {}, Reply(text="2"))])
    assert {key: call.reply.text for key, call in cache.get(["k", "l", "m"]).items()} == {"k": "1", "l": "3"}
