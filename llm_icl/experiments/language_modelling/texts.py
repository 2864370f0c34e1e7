"""Training texts of language models, and their held-out part."""

from collections.abc import Sequence
from pathlib import Path

from llm_icl.errors import RequestError

_BETWEEN = ".."


def read_texts(paths: Sequence[Path], held_out: str) -> tuple[list[str], str]:
    """The training texts and the held-out text. A folder means its .txt files.

    `held_out` is a file (then excluded from training), or LINE..LINE: the part of one of the texts from the first line
    up to the second, or to the end if omitted. Raises RequestError if a text is unavailable.
    """
    named = [file for path in paths for file in (sorted(path.glob("*.txt")) if path.is_dir() else [path])]
    files = list({file.resolve(): file for file in named}.values())  # without duplicates
    if _is_part(held_out):
        return _without_part({file: _read(file) for file in files}, held_out)
    apart = Path(held_out)
    training = [_read(file) for file in files if file.resolve() != apart.resolve()]
    if not training:
        raise RequestError("no training text is left besides the held-out text: add files to --text")
    return training, _read(apart)


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


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "it is not UTF-8"
        raise RequestError(f"the text {path} cannot be read: {reason}") from None
