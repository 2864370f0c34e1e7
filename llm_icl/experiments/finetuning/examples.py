"""Labelled texts as a model sees them: rows in the words of a template, with the indices of their labels."""

import hashlib
import math
import tempfile
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, time
from decimal import Decimal
from typing import Any

import numpy as np
from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, Undefined, meta, nodes
from jinja2.sandbox import SandboxedEnvironment
from numpy.typing import NDArray

from llm_icl.errors import RequestError
from llm_icl.experiments.finetuning.rows import Row, Source

# In a template the whole row, for columns whose names are not words: row['Review text'].
_ROW = "row"
# More text than this is kept on disk.
_IN_MEMORY = 2**26
# What programs write as a text where there is none.
_MISSING = ("nan", "NaN", "NAN", "NaT", "null", "Null", "NULL", "None", "NA", "N/A", "<NA>", "#N/A", "\\N")
# Letters that show nothing: a blank pattern of Braille, fillers of Hangul.
_BLANK = "\u2800\u3164\u115f\u1160\uffa0"


@dataclass(frozen=True)
class Example:
    """A text as a model sees it, up to its label's word, and the label; `place` is the row's file and line."""

    text: str
    label: int
    place: str = field(default="", compare=False, repr=False)


class Examples(Sequence[Example]):
    """The examples of a split. Their texts are on disk where there are many: a few bytes of memory for each."""

    def __init__(self, source: Source, examples: Iterable[tuple[int, str, int]]) -> None:
        """From the number of each row, its text and its label."""
        self.name, self._place = source.name, source.place
        self._texts = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115
        self._ends, self._numbers, labels, marks = array("q", [0]), array("q"), array("q"), array("Q")
        for number, text, label in examples:
            data = text.encode()
            self._texts.write(data)
            self._ends.append(self._ends[-1] + len(data))
            self._numbers.append(number)
            labels.append(label)
            marks.frombytes(hashlib.blake2b(data, digest_size=8).digest())
        self.labels: NDArray[np.int64] = np.array(labels, np.int64)
        # The same number for the same text.
        self.marks: NDArray[np.uint64] = np.array(marks, np.uint64)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        i = range(len(self))[index]
        self._texts.seek(self._ends[i])
        text = self._texts.read(self._ends[i + 1] - self._ends[i]).decode()
        return Example(text, int(self.labels[i]), self._place(self._numbers[i]))


class TextTemplate:
    """A template of texts. `columns` are those it names, `ending` is what it writes before a label."""

    def __init__(self, template: str) -> None:
        """Raises ValueError if it is not a template, or names no column."""
        environment = SandboxedEnvironment(undefined=StrictUndefined, finalize=_printed)
        environment.globals.clear()  # a column may have any name
        del environment.filters["random"]  # which writes another text every time
        environment.tests["none"] = lambda value: value is None or isinstance(value, _Missing)
        try:
            tree = environment.parse(template)
            _refuse_unbounded(tree)
            self._template = environment.from_string(template)
        except TemplateSyntaxError as problem:
            raise ValueError(str(problem.message)) from None
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
        names, outputs = meta.find_undeclared_variables(tree), [*tree.find_all(nodes.Output)]
        if not names or not outputs:
            raise ValueError("it prints no column, such as {{ text }}")
        of_row = _columns_of_row(tree)
        self._is_column = not of_row  # without a name behind it, `row` is a column of this name
        self.columns = sorted(names - {_ROW} | of_row if of_row else names)
        last = outputs[-1].nodes[-1]
        self.ending = " ".join(last.data.split()) if isinstance(last, nodes.TemplateData) else ""

    def fill(self, row: Row) -> str:
        """The text of a row on one line. Raises ValueError where something that is printed is not a text."""
        try:
            values = {column: _Missing(value) if _is_missing(value) else value for column, value in row.items()}
            named = values if self._is_column else values | {_ROW: values}
            text = " ".join(self._template.render(named).split())
            text.encode()
            return text
        except UnicodeEncodeError:
            raise ValueError("a character is incomplete (a lone surrogate)") from None
        except _NoTextError as problem:
            for column in self.columns:
                try:
                    _printed(row.get(column))
                except _NoTextError as found:
                    if str(found) != str(problem):
                        continue
                    raise ValueError(f"the column '{column}' {found}") from None
            raise ValueError(f"what the template prints {problem}") from None
        except TemplateError as problem:
            raise ValueError(f"{problem}; its columns are {', '.join(row)}") from None
        except Exception as problem:  # expressions of a user may raise anything
            raise ValueError(f"the template fails: {str(problem) or 'no reason is known'}") from None


# What could make a text, or the time that it takes, as long as one likes.
_UNBOUNDED = (nodes.For, nodes.Macro, nodes.CallBlock, nodes.Call, nodes.Mul, nodes.Pow, nodes.Mod)
_UNBOUNDED_FILTERS = ("center", "indent", "format", "wordwrap", "batch", "slice", "urlize", "xmlattr", "pprint")
_MOST_REPLACED = 3


def _refuse_unbounded(tree: nodes.Template) -> None:
    """Raise ValueError for loops, calls and products: a row's text is as long as its columns."""
    filters = [node.name for node in tree.find_all(nodes.Filter)]
    if next(tree.find_all(_UNBOUNDED), None) or set(filters) & set(_UNBOUNDED_FILTERS):
        raise ValueError("loops, calls, products and filters that fill up are not possible in a template of texts")
    if filters.count("replace") > _MOST_REPLACED:
        raise ValueError(f"more than {_MOST_REPLACED} replacements")


def _columns_of_row(tree: nodes.Template) -> set[str]:
    """The columns that a template names as row['Review text']. Raises ValueError for those that only a row tells."""
    named: list[Any] = [*tree.find_all(nodes.Getitem), *tree.find_all(nodes.Getattr)]
    named = [node for node in named if isinstance(node.node, nodes.Name) and node.node.name == _ROW]
    columns: list[Any] = [
        node.attr if isinstance(node, nodes.Getattr) else getattr(node.arg, "value", None) for node in named
    ]
    if not all(isinstance(column, str) for column in columns):
        raise ValueError(f"'{_ROW}' is for one column: {_ROW}['its name']")
    uses = sum(node.name == _ROW for node in tree.find_all(nodes.Name))
    if columns and uses > len(columns):
        raise ValueError(f"'{_ROW}' is for one column: {_ROW}['its name']")
    return set(columns)


class _NoTextError(Exception):
    """What a value is instead of a text."""


class _Missing:
    """A missing value: false, and an error where it would become a part of a text."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __bool__(self) -> bool:
        return False

    def __str__(self) -> str:
        return str(_printed(self.value))


def _is_missing(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip() in _MISSING
    return value is None or (isinstance(value, float | Decimal) and not math.isfinite(value))


def _printed(value: Any) -> Any:
    """A value that a template prints. Raises _NoTextError if it is not a text or a number."""
    if isinstance(value, Undefined):  # raises its own error when it is printed
        return value
    if isinstance(value, _Missing):
        value = value.value
    if value is None:
        raise _NoTextError("is null")
    if isinstance(value, float | Decimal) and not math.isfinite(value):
        raise _NoTextError(f"is {value}")
    if isinstance(value, str):
        if not any(letter.isprintable() and not letter.isspace() and letter not in _BLANK for letter in value):
            raise _NoTextError("is empty" if not value else "is blank")
        if value.strip() in _MISSING:
            raise _NoTextError(f"is '{value.strip()}', a missing value")
        return value
    if not isinstance(value, int | float | Decimal | date | time):
        raise _NoTextError(f"is not a text, but of type {type(value).__name__}")
    return value


def examples_of(source: Source, template: TextTemplate, column: str, values: Mapping[str, int]) -> Examples:
    """The rows of a split; `values` maps what the column of labels holds, as `written_label`, to indices.

    Raises RequestError with the place of the first row that does not fit.
    """

    def each() -> Iterator[tuple[int, str, int]]:
        for number, row in source.rows:
            try:
                yield number, template.fill(row), _label(row, column, values)
            except ValueError as problem:
                raise RequestError(f"{source.place(number)}: {problem}") from None

    examples = Examples(source, each())
    if not examples:
        raise RequestError(f"{source.name}: the split is empty")
    return examples


def _label(row: Row, column: str, values: Mapping[str, int]) -> int:
    if column not in row:
        raise ValueError(f"no column '{column}' for the label; its columns are {', '.join(row)}")
    value = row[column]
    if value is None or value == "" or value != value:
        raise ValueError(f"the label in column '{column}' is missing")
    if (written := written_label(value)) not in values:
        raise ValueError(f"label {value!r:.40} is not in the card, which has {', '.join(values)}")
    return values[written]


def written_label(value: Any) -> str:
    """A label as text, the same for all ways to write one: 1, 1.0, "1" and " 1 "; true, "true" and "True"."""
    if isinstance(value, str):
        text = value.strip()
        if text.lower() in ("true", "false"):
            return text.lower()
        whole, point, rest = text.partition(".")
        return whole if point and not rest.strip("0") and whole.lstrip("-").isdecimal() else text
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value):
        return str(int(value))
    return str(value)
