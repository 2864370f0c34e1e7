"""Which runs are in a folder."""

import json

import pytest

from llm_icl.errors import RequestError
from llm_icl.runs.listing import finished_runs, listed_runs, run_folders


def run(folder, **record):
    folder.mkdir(parents=True)
    whole = {"kind": "eval", "status": "complete", "command": "", "versions": {}, "request": {}} | record
    (folder / "run.json").write_text(json.dumps(whole))
    return folder


def test_what_is_listed_of_each_kind(tmp_path):
    named = {"tasks": [{"name": "majority"}, {"name": "parity"}], "n": [3, 5]}
    asked = {"models": [{"name": "smollm2-135m"}], "trained": [{"name": "mine"}], "answers": [{"name": "theirs"}]}
    run(tmp_path / "a", request={**named, **asked}, started="2026-01-01T10:00:00+00:00", cost=0.5,
        failed={"overload": 2, "timeout": 1})  # fmt: skip
    run(tmp_path / "b", kind="train", request={**named, "shape": {"architecture": "mamba2"}}, status="running",
        started="2026-01-03T10:00:00+00:00")  # fmt: skip
    run(tmp_path / "c", kind="train-lm", request={"attentions": ["softmax"]}, started="2026-01-02T10:00:00+00:00")
    tuned = {"model": {"name": "gpt2"}, "dataset": {"name": "sst2"}}
    run(tmp_path / "d", kind="finetune-vs-icl", request=tuned, started="2025-01-02T10:00:00+00:00")
    found = listed_runs(tmp_path)
    assert [one.folder for one in found] == [str(tmp_path / name) for name in "bcad"]  # the newest first
    b, c, a, d = found
    assert (a.kind, a.tasks, a.n, a.models) == ("eval", ("majority", "parity"), (3, 5), (
        "smollm2-135m", "mine", "theirs"
    ))  # fmt: skip
    assert (a.state, a.cost, a.failed_calls) == ("finished", 0.5, 3)
    assert (b.state, b.models, b.cost) == ("unfinished", ("mamba2",), None)
    assert (c.tasks, c.n, c.models) == ((), (), ("softmax",))
    assert (d.tasks, d.models) == (("sst2",), ("gpt2",))


def test_runs_of_suites_are_found_and_what_is_inside_a_run_is_not(tmp_path):
    run(tmp_path / "suite" / "one")
    run(tmp_path / "suite" / "two" / "outdated")
    (tmp_path / "suite" / "two" / "run.json").write_text("{}")
    elsewhere = run(tmp_path.parent / f"{tmp_path.name}-elsewhere")
    (tmp_path / "linked").symlink_to(elsewhere)
    (tmp_path / "loop").symlink_to(tmp_path)
    assert {path.relative_to(tmp_path).as_posix() for path in run_folders(tmp_path)} == {
        "suite/one", "suite/two", "linked",
    }  # fmt: skip
    assert list(run_folders(elsewhere)) == [elsewhere]


DAMAGED = {
    "not JSON": b"{",
    "not text": bytes(range(256)),
    "no record": b"[]",
    "fields are missing": b"{}",
    "tasks are a number": b'{"status": "complete", "request": {"tasks": 3}, "command": "", "versions": {}}',
    "n is a word": b'{"status": "complete", "request": {"n": ["x"]}, "command": "", "versions": {}}',
    "deep": b"[" * 100_000,
    "failed is a list": b'{"status": "complete", "request": {}, "command": "", "versions": {}, "failed": [1]}',
    "cost is a word": b'{"status": "complete", "request": {}, "command": "", "versions": {}, "cost": "x"}',
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_what_cannot_be_read_is_listed_with_the_reason(tmp_path, content):
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "run.json").write_bytes(content)
    (found,) = listed_runs(tmp_path)
    assert (found.folder, found.state) == (str(folder), "unreadable")
    assert found.reason.startswith(str(folder))
    assert len(found.reason) > len(str(folder))


def test_a_link_to_nowhere_is_listed_too(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "run.json").symlink_to(tmp_path / "nowhere")
    (found,) = listed_runs(tmp_path)
    assert found.state == "unreadable"


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(RequestError, match="is not a folder"):
        listed_runs(tmp_path / "x")


def test_a_suites_folder_stands_for_its_runs(tmp_path):
    one, two = run(tmp_path / "one"), run(tmp_path / "two")
    assert [found.path for found in finished_runs(tmp_path)] == [one, two]
    assert [found.path for found in finished_runs(one)] == [one]
    with pytest.raises(RequestError, match="is not a run"):
        finished_runs(tmp_path / "nowhere")
    run(tmp_path / "three", status="running")
    with pytest.raises(RequestError, match="three is an unfinished run"):
        finished_runs(tmp_path)
