"""One rule of resuming for all kinds of runs: what a directory holds decides what a start in it does."""

import json
import logging
import shutil
from collections.abc import Callable

import pytest

from llm_icl.errors import RequestError
from llm_icl.experiments.base import State
from llm_icl.experiments.kinds import experiments
from llm_icl.experiments.reporting import report_of
from llm_icl.runs import RunDirectory
from tests.experiments.making import KINDS, made, write_places

each_kind = pytest.mark.parametrize("kind", KINDS)

OTHER = {
    "eval": {"problems": 5}, "train": {"steps": 7}, "probe": {"problems": 5}, "train-lm": {"steps": 5},
    "finetune-vs-icl": {"examples": 5},
}  # fmt: skip
# What must be the same however often a start was interrupted.
NUMBERS = {
    "eval": "predictions.parquet", "train": "checkpoint.safetensors", "probe": "heads.parquet",
    "train-lm": "losses.parquet", "finetune-vs-icl": "measures.parquet",
}  # fmt: skip


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    return write_places(tmp_path_factory.mktemp("places"))


@pytest.fixture(scope="module")
def finished(places, tmp_path_factory) -> Callable:
    """Makes a copy of a finished run of a kind."""
    runs = {kind: tmp_path_factory.mktemp("runs") / kind for kind in KINDS}
    for kind, folder in runs.items():
        made(kind, places).run(folder)

    def copy(kind, folder):
        shutil.copytree(runs[kind], folder)
        return folder

    return copy


@pytest.fixture
def works(monkeypatch):
    """Which kinds did work, each with whether it knew of an earlier start."""
    done = []
    for _, entry in experiments.items():
        original = entry.work

        def work(self, session, on_progress, original=original):
            done.append((self.kind, bool(session.earlier)))
            original(self, session, on_progress)

        monkeypatch.setattr(entry, "work", work)
    return done


def change(folder, **values):
    path = folder / "run.json"
    record = json.loads(path.read_text())
    record.update(values)
    path.write_text(json.dumps(record))
    return record


def of_other_versions(folder):
    versions = json.loads((folder / "run.json").read_text())["versions"]
    change(folder, versions=versions | {"numpy": "1.0.0"})


def numbers(kind, folder):
    if NUMBERS[kind].endswith(".parquet"):
        import polars as pl

        return repr(pl.read_parquet(folder / NUMBERS[kind]).select(pl.exclude("speed")).to_dicts())
    from safetensors.numpy import load_file

    return {name: tensor.tobytes() for name, tensor in load_file(folder / NUMBERS[kind]).items()}


@each_kind
def test_finished_its_results_stand(kind, places, finished, works, tmp_path):
    folder = finished(kind, tmp_path / "run")
    before = (folder / "run.json").read_bytes()
    run = made(kind, places).run(folder)
    assert works == []
    assert (folder / "run.json").read_bytes() == before
    assert made(kind, places).state(run) is State.FINISHED


@each_kind
def test_finished_by_other_versions_it_is_said_and_done_again(kind, places, finished, works, tmp_path, caplog):
    folder = finished(kind, tmp_path / "run")
    expected = numbers(kind, folder)
    of_other_versions(folder)
    (folder / "notes.txt").write_text("mine")
    with caplog.at_level(logging.WARNING):
        run = made(kind, places).run(folder)
    assert works == [(kind, False)]
    assert "finished with other package versions (numpy 1.0.0, now " in caplog.text
    assert made(kind, places).state(run) is State.FINISHED
    assert numbers(kind, folder) == expected
    assert (folder / "notes.txt").read_text() == "mine"
    assert not (folder / "outdated").exists()


@each_kind
def test_old_results_stay_until_the_new_ones_are_there(kind, places, finished, monkeypatch, tmp_path):
    folder = finished(kind, tmp_path / "run")
    expected = numbers(kind, folder)
    of_other_versions(folder)

    def stops(self, session, on_progress):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(experiments.get(kind), "work", stops)
        with pytest.raises(KeyboardInterrupt):
            made(kind, places).run(folder)
    kept = made(kind, places).run(folder, keep_old=True)
    assert numbers(kind, kept.path) == expected
    experiments.get(kind).report([kept])
    assert made(kind, places).state(RunDirectory(folder)) is State.INTERRUPTED
    made(kind, places).run(folder)
    assert numbers(kind, folder) == expected
    assert not (folder / "outdated").exists()


@each_kind
def test_files_of_a_run_without_its_record_are_nobodys(kind, places, finished, works, tmp_path):
    folder = finished(kind, tmp_path / "run")
    (folder / "run.json").unlink()
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(RequestError, match="but no run"):
        made(kind, places).run(folder)
    assert works == []
    assert sorted(path.name for path in folder.iterdir()) == before


@each_kind
def test_with_keep_old_it_is_shown_as_what_it_is(kind, places, finished, works, tmp_path, caplog):
    folder = finished(kind, tmp_path / "run")
    of_other_versions(folder)
    before = (folder / "run.json").read_bytes()
    with caplog.at_level(logging.WARNING):
        made(kind, places).run(folder, keep_old=True)
    assert works == []
    assert "finished with other package versions" in caplog.text
    assert (folder / "run.json").read_bytes() == before


@each_kind
def test_what_reads_and_sends_may_change_its_version(kind, places, finished, works, tmp_path):
    folder = finished(kind, tmp_path / "run")
    versions = json.loads((folder / "run.json").read_text())["versions"]
    change(folder, versions=versions | {"openai": "1.0.0", "polars": "0.1.0", "python": "3.0.0"})
    made(kind, places).run(folder)
    assert works == []


@each_kind
def test_another_request_is_refused_and_nothing_is_touched(kind, places, finished, works, tmp_path):
    folder = finished(kind, tmp_path / "run")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(RequestError, match="already contains a different run: choose another --out"):
        made(kind, places, **OTHER[kind]).run(folder)
    assert works == []
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@each_kind
def test_interrupted_it_is_resumed(kind, places, finished, works, tmp_path):
    folder = finished(kind, tmp_path / "run")
    expected = numbers(kind, folder)
    started = change(folder, status="running", wall_seconds=1000.0)["started"]
    made(kind, places).run(folder)
    assert works == [(kind, True)]
    record = json.loads((folder / "run.json").read_text())
    assert (record["status"], record["started"]) == ("complete", started)
    assert record["wall_seconds"] > 1000
    assert numbers(kind, folder) == expected


@each_kind
def test_interrupted_under_other_versions_it_is_said_and_started_again(kind, places, finished, works, tmp_path, caplog):
    folder = finished(kind, tmp_path / "run")
    expected = numbers(kind, folder)
    change(folder, status="running", wall_seconds=1000.0)
    of_other_versions(folder)
    with caplog.at_level(logging.WARNING):
        made(kind, places).run(folder)
    assert works == [(kind, False)]
    assert "interrupted with other package versions (numpy 1.0.0, now " in caplog.text
    assert json.loads((folder / "run.json").read_text())["wall_seconds"] < 1000
    assert numbers(kind, folder) == expected


@each_kind
def test_a_result_that_is_missing_is_made_again(kind, places, finished, works, tmp_path, caplog):
    folder = finished(kind, tmp_path / "run")
    expected = numbers(kind, folder)
    (folder / NUMBERS[kind]).unlink()
    with caplog.at_level(logging.WARNING):
        made(kind, places).run(folder)
    assert works == [(kind, False)]
    assert "finished, but a file is missing: restarting" in caplog.text
    assert numbers(kind, folder) == expected


def test_failed_calls_are_made_again(places, finished, works, tmp_path):
    folder = finished("eval", tmp_path / "run")
    change(folder, failed={"HTTP 500": 3})
    run = made("eval", places).run(folder)
    assert works == [("eval", False)]
    assert run.record["failed"] == {}


@each_kind
def test_work_that_stops_leaves_a_run_that_can_be_resumed(kind, places, monkeypatch, tmp_path):
    def stops(self, session, on_progress):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(experiments.get(kind), "work", stops)
        with pytest.raises(KeyboardInterrupt):
            made(kind, places).run(tmp_path / "run")
    experiment = made(kind, places)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "running"
    run = experiment.run(tmp_path / "run")
    assert experiment.state(run) is State.FINISHED


@each_kind
def test_a_request_that_is_refused_at_once_leaves_the_directory_free(kind, places, monkeypatch, tmp_path):
    def refuses(self, session, on_progress):
        raise RequestError("no")

    with monkeypatch.context() as patched:
        patched.setattr(experiments.get(kind), "work", refuses)
        with pytest.raises(RequestError):
            made(kind, places).run(tmp_path / "run")
    made(kind, places, **OTHER[kind]).run(tmp_path / "run")


@each_kind
def test_a_refused_request_removes_nothing_that_was_there(kind, places, monkeypatch, tmp_path):
    def refuses(self, session, on_progress):
        raise RequestError("no")

    own = {"report.md": "mine", "predictions.parquet": "mine too", "notes.txt": "and mine"}
    for name, text in own.items():
        (tmp_path / name).write_text(text)
    with monkeypatch.context() as patched:
        patched.setattr(experiments.get(kind), "work", refuses)
        with pytest.raises(RequestError):
            made(kind, places).run(tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir() if path.name != ".lock"} == own


@each_kind
def test_a_report_that_stands_in_a_folder_is_not_written_over(kind, places, works, tmp_path):
    (tmp_path / "report.md").write_text("of other runs")
    with pytest.raises(RequestError, match=r"report\.md but no run"):
        made(kind, places).run(tmp_path)
    assert (tmp_path / "report.md").read_text() == "of other runs"


def test_a_request_that_is_refused_later_keeps_what_was_found(places, monkeypatch, tmp_path):
    def refuses(self, session, on_progress):
        session.run.parts.mkdir()
        (session.run.parts / "found").touch()
        raise RequestError("no")

    with monkeypatch.context() as patched:
        patched.setattr(experiments.get("eval"), "work", refuses)
        with pytest.raises(RequestError):
            made("eval", places).run(tmp_path / "run")
    assert made("eval", places).state(RunDirectory(tmp_path / "run")) is State.INTERRUPTED
    assert (tmp_path / "run" / "parts" / "found").is_file()


@each_kind
def test_the_report_says_when_a_run_was_made_how_long_it_took_and_with_which_versions(kind, finished, tmp_path):
    run = RunDirectory(finished(kind, tmp_path / "run"))
    (made,) = report_of([run]).provenance
    assert made.command == run.record["command"]
    assert made.facts["started"] == run.record["started"]
    assert made.facts["wall time"] == f"{run.record['wall_seconds']:.1f} s"
    assert f"numpy {run.record['versions']['numpy']}" in made.facts["versions"]


def test_a_report_of_many_kinds_is_titled_by_its_runs_and_their_kinds(finished, tmp_path):
    """Of one or two kinds by their own titles; a copy of a run counts once."""
    runs = [RunDirectory(finished(kind, tmp_path / kind)) for kind in ("eval", "train", "probe")]
    copy = RunDirectory(finished("eval", tmp_path / "copy"))
    assert report_of([*runs, copy]).title == "3 runs: eval, train, probe"
    titles = [report_of([run]).title for run in runs[:2]]
    assert report_of(runs[:2]).title == "; ".join(titles)
    assert report_of([runs[0], copy]).title == titles[0]
