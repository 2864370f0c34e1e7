"""Prompts to ask elsewhere: one row for each query, to be filled in."""

from collections.abc import Iterator, Sequence
from typing import Any

from llm_icl.problems import Problems
from llm_icl.prompting.rendering import render
from llm_icl.prompting.templates import Prompt


def prompt_rows(problems: Problems, prompt: Prompt, positions: Sequence[int]) -> Iterator[dict[str, Any]]:
    """`text`, or the `messages` of a chat, with the `target` among the `labels`; one of `reply`, `answer` and
    `probability` is to be filled in. The other members say how the problems were drawn.
    """
    about = {"task": problems.task.name, "n": problems.n, "seed": problems.seed, "points": problems.points}
    about |= {"problems": len(problems), "prompt": prompt.name}
    for i, index in enumerate(problems.indices.tolist()):
        for position in positions:
            asked = render(prompt, problems, i, position).data()
            yield {
                "id": f"{problems.task.name}/n{problems.n}/s{problems.seed}/{index}/{position}",
                **about,
                "problem": index,
                "position": position,
                "text": asked if isinstance(asked, str) else None,
                "messages": None if isinstance(asked, str) else asked,
                "labels": list(prompt.labels),
                "target": prompt.labels[int(problems.ys[i, position])],
                "reply": None,
                "answer": None,
                "probability": None,
            }
