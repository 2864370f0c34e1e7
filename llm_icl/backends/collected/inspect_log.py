"""Logs of inspect_ai (.eval, an archive of JSON files, or .json) of the task `llm_icl/boolean`.

Members of archives may be compressed with Zstandard, which Python 3.11 does not read.
"""

import json
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from llm_icl.config.rows import Row
from llm_icl.config.texts import read_text
from llm_icl.errors import RequestError

_ZSTANDARD = 93
# Bytes of one member; larger ones are no samples of this task.
_LARGEST = 2**28
# Where a member's own header has the lengths of its name and of its extra field, which its data follow.
_NAME_LENGTH = 26


def rows_of(path: Path) -> list[Row]:
    """The rows that the samples were made of, with what was answered. Raises RequestError."""
    header, samples = _archive(path) if path.suffix == ".eval" else _json(path)
    status = header.get("status")
    if status != "success":
        raise RequestError(f"{path}: the evaluation did not finish (status '{status}'): inspect eval-retry resumes it")
    return [_row(sample, path) for sample in samples]


def _row(sample: Any, path: Path) -> Row:
    try:
        row, scores = sample["metadata"], sample["scores"]
        score = scores["label"]
        if "labels" not in row:
            raise KeyError
        said = score["metadata"] or {}
        answered = {key: said.get(key) for key in ("reply", "log_probabilities")}
    except (KeyError, TypeError, AttributeError):
        raise RequestError(f"{path} is not a log of the task llm_icl/boolean with its scores") from None
    if sample.get("epoch", 1) != 1:
        raise RequestError(f"{path} has several epochs: a run has one answer to each prompt")
    return {**row, **answered}


def _json(path: Path) -> tuple[Mapping[str, Any], list[Any]]:
    whole = _parsed(read_text(path), path)
    if not isinstance(whole.get("eval"), Mapping):
        raise RequestError(f"{path} is not a log of inspect_ai")
    samples = whole.get("samples")
    return whole, samples if isinstance(samples, list) else []


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
            texts = [_text(stream, archive, members[name], path) for name in wanted]
    except FileNotFoundError:
        raise RequestError(f"{path} does not exist") from None
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, ValueError) as problem:
        raise RequestError(f"{path} is not a whole log of inspect_ai: {str(problem).splitlines()[0]}") from None
    header, *samples = (_parsed(text, path) for text in texts)
    return header, samples


def _text(stream: BinaryIO, archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> str:
    if max(member.file_size, member.compress_size) > _LARGEST:
        raise RequestError(f"{path}: {member.filename} is larger than {_LARGEST >> 20} MiB")
    if member.compress_type != _ZSTANDARD:
        return archive.read(member).decode()
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
