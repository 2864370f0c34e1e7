"""What an export does to a folder."""

import json

import pytest

from llm_icl.errors import RequestError
from llm_icl.reports.export import folder as module
from llm_icl.reports.export import write_export


@pytest.fixture
def exported(tmp_path, monkeypatch):
    """A function that exports files with these contents in place of a report's."""

    class Titled:
        title = "x"

    def run(**files):
        contents = {f"{name}.csv": content.encode() for name, content in files.items()}
        monkeypatch.setattr(module, "files_of", lambda report, on_progress: contents)
        write_export(Titled, tmp_path / "paper")
        return tmp_path / "paper"

    return run


def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir() if path.name != "export.json"}


def test_a_second_export_replaces_the_first(exported):
    exported(a="1", b="2")
    folder = exported(b="3", c="4")
    assert contents(folder) == {"b.csv": "3", "c.csv": "4"}
    assert set(json.loads((folder / "export.json").read_text())["files"]) == {"b.csv", "c.csv"}


def test_other_files_stay(exported):
    folder = exported(a="1")
    (folder / "paper.tex").write_text("mine")
    (folder / "a.log").write_text("LaTeX's")
    exported(b="2")
    assert contents(folder) == {"b.csv": "2", "paper.tex": "mine", "a.log": "LaTeX's"}


def test_a_file_of_the_users_is_not_overwritten(exported):
    folder = exported(a="1")
    (folder / "b.csv").write_text("mine")
    with pytest.raises(RequestError, match=r"paper holds b\.csv, not written by an export or changed since"):
        exported(a="2", b="3")
    assert contents(folder) == {"a.csv": "1", "b.csv": "mine"}


def test_a_file_that_was_changed_is_neither_overwritten_nor_removed(exported):
    folder = exported(a="1", b="1")
    (folder / "a.csv").write_text("edited")
    with pytest.raises(RequestError, match=r"a\.csv"):
        exported(a="2")
    exported(b="2")
    assert contents(folder) == {"a.csv": "edited", "b.csv": "2"}


def test_an_export_that_was_killed_between_two_files_can_be_repeated(exported, tmp_path):
    folder = exported(a="1", b="1")
    (folder / "a.csv").write_text("2")  # as far as it came
    assert contents(exported(a="2", b="2")) == {"a.csv": "2", "b.csv": "2"}


def test_a_folder_in_the_place_of_a_file_is_refused(exported, tmp_path):
    (tmp_path / "paper" / "a.csv").mkdir(parents=True)
    with pytest.raises(RequestError, match=r"a\.csv"):
        exported(a="1")


def test_what_cannot_be_a_list_of_files_is_refused(exported):
    folder = exported(a="1")
    for text in ("[]", "{", '{"files": 3}'):
        (folder / "export.json").write_text(text)
        with pytest.raises(RequestError, match=r"export\.json is not the list"):
            exported(a="2")


def test_a_list_names_no_files_elsewhere(exported, tmp_path):
    folder = exported(a="1")
    (tmp_path / "precious.csv").write_text("1")
    listed = json.loads((folder / "export.json").read_text())
    listed["files"]["../precious.csv"] = listed["files"]["a.csv"]
    (folder / "export.json").write_text(json.dumps(listed))
    exported(b="1")
    assert (tmp_path / "precious.csv").exists()


def test_a_file_in_the_place_of_the_folder_is_one_clear_error(exported, tmp_path):
    (tmp_path / "paper").write_text("")
    with pytest.raises(RequestError, match="cannot be written"):
        exported(a="1")
