"""Logs of inspect_ai (.eval, an archive of JSON files, or .json) of the task `llm_icl/boolean`.

Members of archives may be compressed with Zstandard, which Python 3.11 does not read.
"""

import json
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from llm_icl.config.rows import Row
from llm_icl.config.texts import read_text
from llm_icl.errors import RequestError

_ZSTANDARD = 93
# What reading a broken archive raises.
_BROKEN = (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, ValueError, OverflowError, struct.error)
# Bytes of all that is read.
_LARGEST = 2**30
# Where a member's own header has the lengths of its name and of its extra field, which its data follow.
_NAME_LENGTH = 26


def rows_of_archive(path: Path) -> list[Row]:
    """The rows that the samples were made of, with what was answered. Raises RequestError."""
    return rows_of(*_archive(path), path)


def read_json(path: Path) -> tuple[Mapping[str, Any], list[Any]] | None:
    """What a log says of itself, and its samples; None if the file is one of rows. Raises RequestError."""
    text = read_text(path)
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        whole = None
    if isinstance(whole, Mapping) and isinstance(whole.get("eval"), Mapping):
        samples = whole.get("samples")
        return whole, samples if isinstance(samples, list) else []
    if text.lstrip().startswith('{"') and whole is None:
        return None  # an object a line
    if isinstance(whole, Mapping) and "labels" in whole:
        return None  # a single row
    raise RequestError(f"{path} is not a whole log of inspect_ai, and not rows either: one JSON object a line")


def rows_of(header: Mapping[str, Any], samples: Sequence[Any], path: Path) -> list[Row]:
    if (status := header.get("status")) != "success":
        raise RequestError(f"{path}: the evaluation did not finish (status '{status}'): inspect eval-retry resumes it")
    steps, system = _member(header, "plan", "steps"), _member(header, "plan", "config", "system_message")
    solvers = [_member(step, "solver") for step in steps] if isinstance(steps, list) else ["generate"]
    if solvers != ["generate"] or system is not None:
        raise RequestError(
            f"{path}: asked was another prompt than the task's: leave out --solver, --system-message and the like"
        )
    whole = _member(header, "eval", "dataset", "samples")
    if isinstance(whole, int) and len(samples) < whole:
        found = f"{len(samples):,} of {whole:,} prompts"
        raise RequestError(f"{path} is not whole: it holds {found}: leave out --limit and --sample-id")
    return [_row(sample, path) for sample in samples]


def _member(value: Any, *keys: str) -> Any:
    """A member of nested objects; None where there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _row(sample: Any, path: Path) -> Row:
    try:
        row, said = sample["metadata"], sample["scores"]["label"]["metadata"] or {}
        answered = {**row, "labels": row["labels"]} | {key: said.get(key) for key in ("reply", "log_probabilities")}
        epoch = sample.get("epoch", 1)
    except (KeyError, TypeError, AttributeError):
        raise RequestError(f"{path} is not a log of the task llm_icl/boolean with its scores") from None
    if epoch != 1:
        raise RequestError(f"{path} has several epochs: a run has one answer to each prompt")
    return answered


def _archive(path: Path) -> tuple[Mapping[str, Any], list[Any]]:
    try:
        with path.open("rb") as stream, zipfile.ZipFile(stream) as archive:
            # A later member of the same name replaces an earlier one.
            members = {member.filename: member for member in archive.infolist()}
            if "header.json" not in members:
                if not any(name.startswith("_journal/") for name in members):
                    raise RequestError(f"{path} is not a log of inspect_ai")
                return {"status": "started"}, []
            wanted = ["header.json", *(name for name in members if name.startswith("samples/"))]
            if sum(members[name].file_size for name in wanted) > _LARGEST:
                raise RequestError(f"{path} is larger than {_LARGEST >> 20} MiB")
            texts = [_text(stream, archive, members[name]) for name in wanted]
    except FileNotFoundError:
        raise RequestError(f"{path} does not exist") from None
    except _BROKEN as problem:
        raise RequestError(f"{path} is not a whole log of inspect_ai: {' '.join(str(problem).split())}") from None
    header, *samples = (_parsed(text, path) for text in texts)
    return header, samples


def _text(stream: BinaryIO, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> str:
    if member.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with archive.open(member) as opened:  # `archive.read` would unpack more than the size that is stated
            return opened.read(member.file_size + 1).decode()
    if member.compress_type != _ZSTANDARD:
        raise zipfile.BadZipFile(f"compression of {member.filename}")
    import pyarrow

    stream.seek(member.header_offset + _NAME_LENGTH)
    name, extra = struct.unpack("<HH", stream.read(4))
    stream.seek(name + extra, 1)
    packed = stream.read(member.compress_size)
    data: bytes = pyarrow.decompress(packed, decompressed_size=member.file_size, codec="zstd", asbytes=True)
    if zlib.crc32(data) != member.CRC:
        raise zipfile.BadZipFile(f"bad checksum of {member.filename}")
    return data.decode()


def _parsed(text: str, path: Path) -> Mapping[str, Any]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, Mapping):
        raise RequestError(f"{path} is not a log of inspect_ai: not JSON")
    return data
