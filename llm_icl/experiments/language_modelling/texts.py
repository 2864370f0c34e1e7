"""Training texts of language models, and their held-out part."""

import logging
from collections.abc import Sequence
from pathlib import Path

from llm_icl.config.texts import read_text
from llm_icl.errors import RequestError

log = logging.getLogger(__name__)

_BETWEEN = ".."
# Lines with fewer words may be in several texts by chance.
_WORDS = 6
# A held-out text that shares more of its lines is a copy.
_MOST_SHARED = 0.5


def read_texts(paths: Sequence[Path], held_out: str) -> tuple[list[str], str]:
    """The training texts and the held-out text. A folder means its .txt files.

    `held_out` is a file (then excluded from training), or LINE..LINE: the part of one of the texts from the first line
    up to the second, or to the end if omitted. Raises RequestError if a text is unavailable or blank, or if the
    held-out text is trained on too.
    """
    training, apart = _texts(paths, held_out)
    if shared := shared_lines(training, apart):
        share = f"{100 * shared:.0f} % of the held-out text's lines are also in the training text"
        if shared > _MOST_SHARED:
            raise RequestError(f"{share}: hold out another text, or remove its copy from --text")
        log.warning("%s", share)
    return training, apart


def shared_lines(training: Sequence[str], held_out: str) -> float:
    """The fraction of the held-out text's lines that are also lines of the training text. Short lines, which equal
    others by chance, do not count.
    """
    own = [line for line in map(str.strip, held_out.splitlines()) if len(line.split()) >= _WORDS]
    others = {line for text in training for line in map(str.strip, text.splitlines())} if own else set()
    return sum(line in others for line in own) / max(1, len(own))


def _texts(paths: Sequence[Path], held_out: str) -> tuple[list[str], str]:
    named = [file for path in paths for file in (sorted(path.glob("*.txt")) if path.is_dir() else [path])]
    files = list({file.resolve(): file for file in named}.values())  # without duplicates
    if _is_part(held_out):
        return _without_part({file: _read(file) for file in files}, held_out)
    apart = Path(held_out)
    training = [_read(file) for file in files if file.resolve() != apart.resolve()]
    if not training:
        raise RequestError("no training text is left besides the held-out text: add files to --text")
    return training, _read(apart)


def _read(path: Path) -> str:
    text = read_text(path)
    if not text.strip():
        raise RequestError(f"{path}: the text is blank")
    return text


def _is_part(held_out: str) -> bool:
    first, between, _ = held_out.partition(_BETWEEN)
    return bool(between and first.strip() and not first.endswith("/")) and not Path(held_out).is_file()


def _without_part(texts: dict[Path, str], held_out: str) -> tuple[list[str], str]:
    first, last = (line.strip() for line in held_out.split(_BETWEEN, 1))
    lines = {path: text.splitlines(keepends=True) for path, text in texts.items()}
    starts = [(path, i) for path, some in lines.items() for i, line in enumerate(some) if line.strip() == first]
    if len(starts) != 1:
        raise RequestError(
            f"--held-out: the line '{first}' occurs {len(starts)} times in the texts; it must occur exactly once"
        )
    path, start = starts[0]
    ends = [i for i, line in enumerate(lines[path]) if i > start and line.strip() == last] if last else [None]
    if not ends:
        raise RequestError(f"--held-out: no line '{last}' after '{first}' in {path}")
    part = slice(start, ends[0])
    rest = [*lines[path][:start], *(lines[path][ends[0] :] if ends[0] is not None else [])]
    training = [text for file, text in texts.items() if file != path]
    training += ["".join(rest)] if rest else []
    if not training:
        raise RequestError("no training text is left besides the held-out part")
    return training, "".join(lines[path][part])
