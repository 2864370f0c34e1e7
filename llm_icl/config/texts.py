"""Text files of a user: UTF-8, with or without a byte order mark. Errors name the line, as an editor counts them."""

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path

from llm_icl.errors import RequestError

# A file whose lines are longer is not one of lines.
_LONGEST_LINE = 2**24
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(path: Path) -> str:
    """The whole text, with line ends as "\\n". Raises RequestError if it cannot be read."""
    try:
        data = path.read_bytes()
    except OSError as problem:
        raise RequestError(f"{path}: cannot be read: {problem.strerror or problem}") from None
    return io.IncrementalNewlineDecoder(None, translate=True).decode(_decoded(data, path, 1), final=True)


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a file, one at a time, numbered from 1, with their ends; .gz is decompressed.

    Raises RequestError if it cannot be read, or is not a file of lines.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            number = 0
            while line := stream.readline(_LONGEST_LINE):
                number += 1
                if len(line) == _LONGEST_LINE:
                    raise RequestError(f"{path}, line {number} is longer than {_LONGEST_LINE >> 20} MiB")
                yield number, _decoded(line, path, number)
    except FileNotFoundError:
        raise RequestError(f"{path} does not exist") from None
    except (gzip.BadGzipFile, zlib.error, EOFError) as problem:
        raise RequestError(f"{path} is not a whole gzip file: {problem}") from None
    except OSError as problem:
        raise RequestError(f"{path}: cannot be read: {problem.strerror or problem}") from None


def _decoded(data: bytes, path: Path, line: int) -> str:
    """A text that begins on this line of its file."""
    if line == 1:
        if data.startswith(_UTF_16):
            raise RequestError(f"{path} is UTF-16: save it as UTF-8")
        data = data.removeprefix(codecs.BOM_UTF8)
    if b"\0" in data:
        line += data.count(b"\n", 0, data.index(b"\0"))
        raise RequestError(f"{path}, line {line} holds a NUL character: it is not a UTF-8 text")
    try:
        return data.decode()
    except UnicodeDecodeError as problem:
        line += data.count(b"\n", 0, problem.start)
        raise RequestError(f"{path}, line {line} is not UTF-8: save the file as UTF-8") from None
