"""Whose a run's directory is."""

import dataclasses

import pytest

from llm_icl.errors import RequestError
from llm_icl.runs import RunDirectory, RunRecord


def begun(folder, problem, found=False):
    """A run that begins, finds something or not, and ends with a problem."""
    with RunDirectory(folder) as run:
        run.write_record(dataclasses.asdict(RunRecord.opening("eval", {"task": "one"})))
        if found:
            run.parts.mkdir()
            (run.parts / "x").touch()
        raise problem


def refused(folder, found=False):
    with pytest.raises(RequestError, match="no"):
        begun(folder, RequestError("no"), found)


def test_a_request_that_was_refused_does_not_keep_it(tmp_path):
    refused(tmp_path)
    assert RunDirectory(tmp_path).is_of({"task": "other"})


def test_a_request_that_was_refused_later_keeps_what_was_found(tmp_path):
    refused(tmp_path, found=True)
    assert not RunDirectory(tmp_path).is_of({"task": "other"})
    assert (tmp_path / "parts" / "x").is_file()


def test_a_run_that_was_there_before_stays(tmp_path):
    with RunDirectory(tmp_path) as run:
        run.write_record(dataclasses.asdict(RunRecord.opening("eval", {"task": "one"})))
    refused(tmp_path)
    assert not RunDirectory(tmp_path).is_of({"task": "other"})


def test_a_failure_of_another_kind_keeps_it(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        begun(tmp_path, KeyboardInterrupt())
    assert not RunDirectory(tmp_path).is_of({"task": "other"})
