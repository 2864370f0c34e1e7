"""Logs of lm-evaluation-harness (`--log_samples`): a row for each prompt, with the log-likelihoods of its choices.

A prompt is logged as it was given to the model, so what a chat template or further examples changed is seen here.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llm_icl.backends.exchange import LEAST_MASS
from llm_icl.config.rows import Row
from llm_icl.errors import RequestError


def is_sample(row: Any) -> bool:
    return isinstance(row, Mapping) and {"doc_id", "doc", "arguments", "resps"} <= set(row)


def _two_texts(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(text, str) for text in value)


def rows_of(samples: Sequence[Row], path: Path) -> list[Row]:
    """The rows that were exported, with what was answered. Raises RequestError."""
    return [_row(sample, f"{path}, row {number}") for number, sample in enumerate(samples, 1)]


def _row(sample: Any, place: str) -> Row:
    if not is_sample(sample) or not isinstance(doc := sample["doc"], Mapping) or not _two_texts(doc.get("labels")):
        raise RequestError(f"{place}: not a sample of a task of 'llm-icl export-tasks'")
    try:
        labels = doc["labels"]
        given = [sample["arguments"][f"gen_args_{i}"] for i in (0, 1)]
        asked = [(one["arg_0"], one["arg_1"]) for one in given]
        due = [(doc["text"], doc["gap"] + label) for label in labels]
        zero, one = (float(sample["resps"][i][0][0]) for i in (0, 1))
    except (KeyError, IndexError, TypeError, ValueError, OverflowError):
        raise RequestError(f"{place}: no log-likelihoods of two choices") from None
    if asked != due:
        raise RequestError(
            f"{place}: asked was another prompt than the task's: leave out --apply_chat_template, --num_fewshot and "
            "--system_instruction"
        )
    if not (zero <= 0 and one <= 0):
        raise RequestError(f"{place}: {zero} and {one} are not log-likelihoods")
    answer = labels[int(one > zero)] if math.exp(zero) + math.exp(one) >= LEAST_MASS else ""
    return {**doc, "reply": answer, "log_probabilities": dict(zip(labels, (zero, one), strict=True))}
