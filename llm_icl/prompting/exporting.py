"""Prompts to ask elsewhere: one row for each query, to be filled in."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from llm_icl.config.rows import Row
from llm_icl.errors import RequestError
from llm_icl.problems import Problems
from llm_icl.prompting.layout import CannotScoreError, label_gap
from llm_icl.prompting.rendering import Rendered, render
from llm_icl.prompting.templates import Prompt


@dataclass(frozen=True)
class Queries:
    """Problems, the positions at which they are asked, and the prompt that they are written with."""

    problems: Problems
    prompt: Prompt
    positions: Sequence[int]

    def __len__(self) -> int:
        return len(self.problems) * len(self.positions)

    def rendered(self) -> Iterator[tuple[dict[str, Any], Rendered]]:
        """The row of each query, and its prompt.

        The row has `text`, or the `messages` of a chat, with the `target` among the `labels`; its other members say how
        the problem was drawn.
        """
        problems, prompt = self.problems, self.prompt
        about = {"task": problems.task.name, "n": problems.n, "seed": problems.seed, "points": problems.points}
        about |= {"problems": len(problems), "prompt": prompt.name}
        for i, index in enumerate(problems.indices.tolist()):
            for position in self.positions:
                rendered = render(prompt, problems, i, position)
                asked = rendered.data()
                yield (
                    {
                        "id": rendered.query,
                        **about,
                        "problem": index,
                        "position": position,
                        "text": asked if isinstance(asked, str) else None,
                        "messages": None if isinstance(asked, str) else asked,
                        "labels": list(prompt.labels),
                        "target": prompt.labels[int(problems.ys[i, position])],
                    },
                    rendered,
                )

    def rows(self) -> Iterator[dict[str, Any]]:
        """Rows to be filled in: one of `reply`, `answer` and `probability`."""
        for row, _ in self.rendered():
            yield row | {"reply": None, "answer": None, "probability": None}

    def check(self, rows: Sequence[Row]) -> None:
        """Raise RequestError for the first row that came back and is not of these prompts, is there twice, or has
        another prompt, other labels or another target than was drawn here.

        What a row leaves out (a `target`, for those who are to answer blindly) is not compared.
        """
        places: dict[tuple[int, int], int] = {}
        for number, row in enumerate(rows, 1):
            place = _place(row)
            if place is None:
                raise RequestError(f"{_name(number, row)}: 'problem' or 'position' is not a whole number")
            if place in places:
                raise RequestError(f"{_name(number, row)}: row {places[place]} is of the same prompt")
            places[place] = number
        for drawn, _ in self.rendered():
            number = places.pop((drawn["problem"], drawn["position"]), 0)
            row = rows[number - 1] if number else {}
            for key in ("messages", "text", "labels", "target"):
                if (found := _told(row, key)) is not None and found != drawn[key]:
                    raise RequestError(
                        f"{_name(number, row)}: its '{key}' is {_short(found)}, and drawn here is "
                        f"{_short(drawn[key])}: was it changed, or drawn from another task or prompt of this name?"
                    )
        for number in places.values():
            problem = rows[number - 1]["problem"]
            raise RequestError(
                f"{_name(number, rows[number - 1])}: no problem {problem} of {len(self.problems)} is drawn"
            )

    @cached_property
    def gap(self) -> str:
        """The text between the end of a completion prompt and the label. Raises RequestError where the label does not
        come next.
        """
        if not self.prompt.label_comes_next:
            raise RequestError(f"prompt '{self.prompt.name}' asks for more than the label")
        try:
            return label_gap(self.prompt, self.problems, Rendered.completion)
        except CannotScoreError as problem:
            raise RequestError(str(problem)) from None


def _place(row: Row) -> tuple[int, int] | None:
    try:
        return int(str(row["problem"])), int(str(row["position"]))
    except (KeyError, TypeError, ValueError):
        return None


def _name(number: int, row: Row) -> str:
    return f"row {number} ({row['id']})" if isinstance(row.get("id"), str) else f"row {number}"


def _told(row: Row, key: str) -> Any:
    """What a row says, if it does; of messages, what is asked. A label may have become a number on its way."""
    value = row.get(key)
    if key == "target" and type(value) is int:
        return str(value)
    if key != "messages":
        return value
    return [{part: message.get(part) for part in ("role", "content")} for message in value] if value else None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:30]}…{text[-29:]}"
