"""Answers to 200 queries of SST-2 after 32 demonstrations (SmolLM2 135M): the demonstrations read once for all queries,
against the whole prompt for each. Seconds a query, and the greatest difference of a label's mean log-probability. Takes
the texts from the folder that LLM_ICL_TEXTS names, and is left out without it.
"""

import os
import time
from pathlib import Path

import torch

from llm_icl.backends.catalogue import find_model
from llm_icl.experiments.finetuning.reader import load_reader
from llm_icl.experiments.finetuning.text_tasks import load_splits, load_text_task, shuffled
from tests.benchmarks.timing import show

_QUERIES, _WHOLE = 200, 20  # so many queries are asked with the whole prompt


def run() -> None:
    folder = os.environ.get("LLM_ICL_TEXTS")
    if not folder:
        print("left out: LLM_ICL_TEXTS names no folder")
        return
    task = load_text_task("sst2")
    splits = load_splits(task, Path(folder))
    reader = load_reader(find_model("smollm2-135m"), task, "newline")
    demonstrations = shuffled(splits.training, 1)[: task.demonstrations]
    queries = shuffled(splits.evaluation, 1)[:_QUERIES]
    began = time.perf_counter()
    context = reader.read(demonstrations)
    reused = [reader.answer(context, query).scores for query in queries]
    first = (time.perf_counter() - began) / len(queries)
    began = time.perf_counter()
    whole = [_whole(reader, context.tokens, query) for query in queries[:_WHOLE]]
    second = (time.perf_counter() - began) / len(whole)
    gap = max(abs(a - b) for one, other in zip(whole, reused, strict=False) for a, b in zip(one, other, strict=True))
    rows = [["read once", first, second / first], ["whole prompts", second, 1.0]]
    show(rows, ["way", "seconds a query", "ratio"])
    print(f"greatest difference: {gap:.1e}")


def _whole(reader, before, query):
    """The scores from one pass over the whole prompt; all labels of SST-2 are one token."""
    tokens = reader.tokens(query)
    with torch.no_grad():
        found = reader.model(input_ids=reader.ids([*before, *tokens.text]), use_cache=False, logits_to_keep=1)
    row = found.logits[0, -1].log_softmax(-1)
    return [float(row[label[0]]) for label in tokens.labels]
