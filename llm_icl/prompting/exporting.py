"""Prompts to ask elsewhere: one row for each query, to be filled in."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

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
                        "id": f"{problems.task.name}/n{problems.n}/s{problems.seed}/{index}/{position}",
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
