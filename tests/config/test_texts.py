"""Texts of users: encodings, line ends, and errors that name the line as an editor counts it."""

import gzip

import pytest

from llm_icl.config import texts
from llm_icl.config.cards import read_card
from llm_icl.config.texts import read_lines, read_text
from llm_icl.errors import RequestError


def written(folder, data, name="text.txt"):
    path = folder / name
    path.write_bytes(data)
    return path


def refused(read, path):
    with pytest.raises(RequestError) as caught:
        list(read(path))
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\xef\xbb\xbfone\ntwo", "one\ntwo"),
        (b"one\r\ntwo\rthree\n", "one\ntwo\nthree\n"),
        ("Größe 🙂 \u2028 x\x0b".encode(), "Größe 🙂 \u2028 x\x0b"),
        (b"", ""),
        (b"one \xef\xbb\xbf two", "one \ufeff two"),  # only at the beginning it is a mark
    ],
)
def test_a_text_is_read_whole(tmp_path, data, text):
    assert read_text(written(tmp_path, data)) == text


@pytest.mark.parametrize("name", ["lines.txt", "lines.txt.gz"])
def test_lines_have_the_numbers_of_an_editor(tmp_path, name):
    data = "\ufefffirst\r\n\nthird \u2028 and more\nlast".encode()
    path = written(tmp_path, gzip.compress(data) if name.endswith(".gz") else data, name)
    assert list(read_lines(path)) == [(1, "first\r\n"), (2, "\n"), (3, "third \u2028 and more\n"), (4, "last")]


@pytest.mark.parametrize("read", [read_text, read_lines])
@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("a\nb\nGröße\n".encode("latin-1"), "line 3 is not UTF-8: save the file as UTF-8"),
        ("a\nb".encode("utf-16"), "is UTF-16: save it as UTF-8"),
        ("a\nb".encode("utf-16-be"), "line 1 holds a NUL character"),
        (b"a\n\xf0\x9f\x99\nb", "line 2 is not UTF-8"),
    ],
)
def test_what_is_not_utf_8_is_one_line_with_its_place(tmp_path, read, data, message):
    assert message in refused(read, written(tmp_path, data))


@pytest.mark.parametrize("read", [read_text, read_lines])
def test_what_cannot_be_opened_is_one_line(tmp_path, read):
    refused(read, tmp_path / "missing.txt")
    assert "Is a directory" in refused(read, tmp_path)


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-9], lambda data: b"text" + data, lambda data: data[:12] + b"x" * 9]
)
def test_a_damaged_gzip_file_is_one_line(tmp_path, damage):
    path = written(tmp_path, damage(gzip.compress(b"some text\n" * 1000)), "text.gz")
    assert "is not a whole gzip file" in refused(read_lines, path)


def test_a_file_without_lines_does_not_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(texts, "_LONGEST_LINE", 2**20)
    path = written(tmp_path, b"[]\n" + b"x" * 2**20)
    assert "line 2 is longer than 1 MiB" in refused(read_lines, path)


def test_a_card_may_have_a_byte_order_mark(tmp_path):
    assert read_card(written(tmp_path, "\ufeffdescription: Größe\r\n".encode())).fields == {"description": "Größe"}
