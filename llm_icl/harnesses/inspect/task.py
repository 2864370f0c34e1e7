"""The task: the problems and prompts of `llm-icl eval`, a sample for each query."""

from collections.abc import Iterator
from typing import Any

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessage, ChatMessageAssistant, ChatMessageSystem, ChatMessageUser, GenerateConfig

from llm_icl.errors import RequestError
from llm_icl.harnesses.inspect.scoring import label
from llm_icl.prompting.exporting import Queries
from llm_icl.prompting.rendering import Rendered
from llm_icl.tasks.options import QueryOptions
from llm_icl.tasks.queries import queries

# The most that providers list.
_TOP = 20
_TURNS = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}


@task
def boolean(
    task: Any = "majority", n: int = 5, points: int = 50, problems: int = 100, positions: Any = "all",
    seed: int = 0, prompt: Any = "basic", tasks_dir: str | None = None, prompts_dir: str | None = None,
) -> Task:  # fmt: skip
    """Learn a Boolean function from labelled examples in context.

    The arguments are the options of `llm-icl sample`, which draws the same problems. Raises RequestError.
    """
    given = {
        "task": _text(task), "n": n, "points": points, "problems": problems, "positions": _text(positions),
        "seed": seed, "prompt": _text(prompt), "tasks-dir": tasks_dir, "prompts-dir": prompts_dir,
    }  # fmt: skip
    asked, *others = queries(QueryOptions.of(given))
    if others:
        raise RequestError(f"-T task takes one task, not '{_text(task)}'")
    template = asked.prompt
    scored = {"logprobs": True, "top_logprobs": _TOP} if template.label_comes_next else {}
    return Task(
        dataset=MemoryDataset(list(_samples(asked)), name=f"{asked.problems.task.name} n={n}"),
        scorer=label(_text(prompt), prompts_dir),
        config=GenerateConfig(
            temperature=0, max_tokens=template.max_tokens, stop_seqs=list(template.stop) or None, **scored
        ),
    )


def _samples(asked: Queries) -> Iterator[Sample]:
    for row, rendered in asked.rendered():
        yield Sample(id=row["id"], input=_turns(asked, rendered), target=row["target"], metadata=row)


def _turns(asked: Queries, rendered: Rendered) -> list[ChatMessage]:
    """As `llm-icl eval` asks chat models. The last turn tells models of this package what they are asked otherwise: a
    text to complete, and labels to compare.
    """
    turns: list[ChatMessage] = [_TURNS[turn.role](content=turn.content) for turn in rendered.messages()]
    told: dict[str, Any] = {} if rendered.has_turns else {"completion": rendered.completion()}
    if asked.prompt.label_comes_next:
        told["labels"] = list(asked.prompt.labels)
        if not rendered.has_turns:
            told["gap"] = asked.gap
    turns[-1].metadata = told
    return turns


def _text(value: Any) -> str:
    """An argument as it was typed: inspect_ai splits comma lists."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
