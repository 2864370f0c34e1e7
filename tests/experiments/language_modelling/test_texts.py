"""What is trained on and what is held out never meet."""

import re

import pytest

from llm_icl.errors import RequestError
from llm_icl.experiments.language_modelling.texts import read_texts

STORY = "Title\n\nCHAPTER 1\none\nCHAPTER 2\ntwo\n  CHAPTER 3  \nthree\nTHE END\nlicence\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "books").mkdir()
    (tmp_path / "books" / "b.txt").write_text("second")
    (tmp_path / "books" / "a.txt").write_text("första", encoding="utf-8")
    (tmp_path / "books" / "notes.md").write_text("no text")
    (tmp_path / "books" / "deeper").mkdir()
    (tmp_path / "books" / "deeper" / "c.txt").write_text("not asked for")
    (tmp_path / "empty").mkdir()
    (tmp_path / "story.txt").write_text(STORY)
    return tmp_path


def refused(texts, held_out):
    with pytest.raises(RequestError) as caught:
        read_texts(texts, held_out)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_folder_stands_for_its_text_files_in_order(folder):
    assert read_texts([folder / "books"], "story.txt") == (["första", "second"], STORY)
    assert read_texts([folder / "books", folder / "story.txt"], str(folder / "books" / "a.txt")) == (
        ["second", STORY],
        "första",
    )


@pytest.mark.parametrize("held_out", ["books/a.txt", "./books/../books/a.txt", "link.txt"])
def test_a_held_out_file_of_the_folder_is_not_trained_on_however_it_is_named(folder, held_out):
    (folder / "link.txt").symlink_to(folder / "books" / "a.txt")
    assert read_texts([folder / "books"], held_out) == (["second"], "första")


def test_a_file_that_is_named_twice_is_one_text(folder):
    twice = [folder / "books", folder / "books" / "b.txt"]
    assert read_texts(twice, "story.txt") == (["första", "second"], STORY)
    assert read_texts([*twice, folder / "story.txt"], "CHAPTER 1..CHAPTER 2")[0][:2] == ["första", "second"]


@pytest.mark.parametrize(
    ("held_out", "part"),
    [
        ("CHAPTER 1..CHAPTER 2", "CHAPTER 1\none\n"),
        ("CHAPTER 2..CHAPTER 3", "CHAPTER 2\ntwo\n"),
        (" CHAPTER 3 .. THE END ", "  CHAPTER 3  \nthree\n"),
        ("CHAPTER 1..THE END", "CHAPTER 1\none\nCHAPTER 2\ntwo\n  CHAPTER 3  \nthree\n"),
        ("CHAPTER 3..", "  CHAPTER 3  \nthree\nTHE END\nlicence\n"),
        ("licence..", "licence\n"),
        ("Title..licence", STORY.removesuffix("licence\n")),
    ],
)
def test_a_part_from_a_line_up_to_another_is_held_out_and_the_rest_trained_on(folder, held_out, part):
    training, held = read_texts([folder / "story.txt"], held_out)
    assert held == part
    assert training == [STORY.replace(part, "", 1)]


def test_the_part_is_looked_for_in_all_texts_and_taken_from_its_own(folder):
    training, held = read_texts([folder / "story.txt", folder / "books"], "CHAPTER 1..CHAPTER 2")
    assert held == "CHAPTER 1\none\n"
    assert sorted(training) == sorted([STORY.replace(held, ""), "första", "second"])


def test_a_part_that_is_a_whole_file_leaves_the_others(folder):
    assert read_texts([folder / "story.txt", folder / "books"], "Title..") == (["första", "second"], STORY)


def test_the_second_line_is_the_next_one_after_the_first(folder):
    (folder / "again.txt").write_text("END\nSTART\na\nEND\nb\nEND\n")
    expected = ["END\nEND\nb\nEND\n"], "START\na\n"
    assert read_texts([folder / "again.txt"], "START..END") == expected


def test_the_first_line_must_stand_once(folder):
    assert "the line 'CHAPTER 9' occurs 0 times" in refused([folder / "story.txt"], "CHAPTER 9..CHAPTER 2")
    (folder / "copy.txt").write_text("CHAPTER 1\n")
    both = [folder / "story.txt", folder / "copy.txt"]
    assert "the line 'CHAPTER 1' occurs 2 times" in refused(both, "CHAPTER 1..CHAPTER 2")


def test_the_second_line_must_come_after_the_first(folder):
    for last in ("Title", "CHAPTER 9", "CHAPTER 2"):
        message = refused([folder / "story.txt"], f"CHAPTER 2..{last}")
        assert f"no line '{last}' after 'CHAPTER 2'" in message
        assert "story.txt" in message


def test_nothing_left_to_train_on_is_refused(folder):
    assert "no training text is left" in refused([folder / "story.txt"], "story.txt")
    assert "no training text is left" in refused([folder / "story.txt"], "Title..")
    assert "no training text is left" in refused([folder / "empty"], "story.txt")


@pytest.mark.parametrize("held_out", ["story.txt", "CHAPTER 1..CHAPTER 2"])
def test_a_text_that_is_not_utf_8_is_refused_by_name(folder, held_out):
    (folder / "books" / "c.txt").write_bytes("Größe".encode("latin-1"))
    message = refused([folder / "books", folder / "story.txt"], held_out)
    assert message.endswith("c.txt, line 1 is not UTF-8: save the file as UTF-8")


def test_a_held_out_text_that_is_not_utf_8_is_refused_by_name(folder):
    (folder / "latin.txt").write_bytes("Größe".encode("latin-1"))
    assert "latin.txt, line 1 is not UTF-8" in refused([folder / "books"], "latin.txt")


@pytest.mark.parametrize("missing", ["missing.txt", "../missing.txt", "books/../missing.txt"])
def test_a_held_out_file_that_is_not_there_is_refused_by_name(folder, missing):
    message = refused([folder / "books"], missing)
    assert missing in message
    assert re.search("no (such )?file", message.lower())


def test_a_file_with_two_dots_in_its_name_is_a_file(folder):
    (folder / "a..b.txt").write_text("dots")
    (folder / "books" / "1..2.txt").write_text("own")
    assert read_texts([folder / "books"], "a..b.txt") == (["own", "första", "second"], "dots")
    assert read_texts([folder / "books"], "books/1..2.txt") == (["första", "second"], "own")


def test_a_byte_order_mark_and_line_ends_of_windows_are_not_part_of_a_text(folder):
    (folder / "books" / "b.txt").write_bytes(b"\xef\xbb\xbffirst\r\nsecond\rthird\n")
    assert read_texts([folder / "books" / "b.txt"], "story.txt")[0] == ["first\nsecond\nthird\n"]


@pytest.mark.parametrize("blank", ["", " \n\t\n"])
def test_a_blank_text_is_refused_by_name(folder, blank):
    (folder / "books" / "b.txt").write_text(blank)
    assert "b.txt: the text is blank" in refused([folder / "books"], "story.txt")
    assert "b.txt: the text is blank" in refused([folder / "story.txt"], "books/b.txt")


LINES = [f"this is line number {i} of a longer story\n" for i in range(10)]


def test_a_held_out_text_with_a_copy_in_the_training_text_is_refused(folder):
    (folder / "held.txt").write_text("".join(LINES))
    (folder / "copy.txt").write_text("".join(["Title\n", *LINES[:6], "and other words\n"]))
    message = refused([folder / "copy.txt"], "held.txt")
    assert message.startswith("60 % of the held-out text's lines are also in the training text")


def test_a_held_out_text_that_shares_some_lines_is_said_to(folder, caplog):
    (folder / "held.txt").write_text("".join([*LINES, "Yes.\n"]))
    (folder / "other.txt").write_text("Yes.\nNo.\n" + LINES[4])
    read_texts([folder / "other.txt"], "held.txt")
    assert "10 % of the held-out text's lines are also in the training text" in caplog.text
    caplog.clear()
    (folder / "other.txt").write_text("Yes.\nNo.\n")
    read_texts([folder / "other.txt"], "held.txt")
    assert not caplog.text
