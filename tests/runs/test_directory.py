"""Whose a run's directory is."""

import pytest

from llm_icl.errors import RequestError
from llm_icl.runs import RunDirectory, RunRecord, digest


def test_one_process_at_a_time_writes_a_run(tmp_path):
    with (
        RunDirectory(tmp_path / "run"),
        pytest.raises(RequestError, match="another process"),
        RunDirectory(tmp_path / "run"),
    ):
        pass
    with RunDirectory(tmp_path / "run"):
        pass


def test_an_empty_directory_is_everyones_and_a_run_only_its_own(tmp_path):
    run = RunDirectory(tmp_path)
    run.check_request({"n": 3})
    run.write_record(vars(RunRecord.opening("eval", {"n": 3})))
    run.check_request({"n": 3})
    with pytest.raises(RequestError, match="already contains a different run: choose another --out"):
        run.check_request({"n": 4})


def test_a_finished_run_is_one_that_says_so(tmp_path):
    with pytest.raises(RequestError, match="is not a run"):
        RunDirectory.finished(tmp_path)
    run = RunDirectory(tmp_path)
    run.write_record(vars(RunRecord.opening("eval", {})))
    with pytest.raises(RequestError, match="is an unfinished run"):
        RunDirectory.finished(tmp_path)
    run.write_record(vars(RunRecord.opening("probe", {})) | {"status": "complete"})
    assert RunDirectory.finished(tmp_path).kind == "probe"


def test_what_a_card_only_says_to_readers_is_not_part_of_what_is_asked(tmp_path):
    asked = {"tasks": [{"name": "parity", "planted": 0.0, "description": "the sum of bits", "source": "a paper"}]}
    told = {"tasks": [{"name": "parity", "planted": 0.0, "description": "parity of bits", "source": "the paper"}]}
    other = {"tasks": [{"name": "parity", "planted": 0.5, "description": "the sum of bits", "source": "a paper"}]}
    run = RunDirectory(tmp_path)
    run.write_record({"status": "complete", "request": asked, "command": "", "versions": {}})
    assert run.is_of(told)
    assert not run.is_of(other)
    assert digest(asked) == digest(told) != digest(other)
    parameter = {"tasks": [{"name": "mine", "parameters": {"source": 1}}], "source": 1}
    assert digest(parameter) != digest({**parameter, "tasks": [{"name": "mine", "parameters": {"source": 2}}]})
    assert digest(parameter) != digest({**parameter, "source": 2})
