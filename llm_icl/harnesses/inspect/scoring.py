"""The scorer: the label of a reply, read as by `llm-icl eval`."""

import math
from pathlib import Path
from typing import Any

from inspect_ai.model import ModelOutput
from inspect_ai.scorer import CORRECT, INCORRECT, Score, Scorer, Target, accuracy, scorer, stderr
from inspect_ai.solver import TaskState

from llm_icl.asking.replies import Outcome, from_text, from_top, with_probability
from llm_icl.backends.exchange import Reply
from llm_icl.backends.hosted.logprobs import NoLogprobsError, Top, tokens_of, top_of_answer
from llm_icl.config.specs import parse_specs
from llm_icl.prompting import Prompt, load_prompt

# Of models in this process label probabilities are the answer, whatever is written; of others only beside a label.
_COMPARED = ("llm_icl", "hf")


@scorer(metrics=[accuracy(), stderr(cluster="problem")])
def label(prompt: str = "basic", prompts_dir: str | None = None) -> Scorer:
    """Whether the label is the true one. Its metadata hold what `llm-icl import` reads."""
    (spec,) = parse_specs([prompt])
    template = load_prompt(spec, Path(prompts_dir) if prompts_dir else None)

    async def score(state: TaskState, target: Target) -> Score:
        reply, outcome = _read(state.output, template, compared=str(state.model.api) in _COMPARED)
        if outcome.status in ("too_long", "error"):
            return Score.unscored(reason=outcome.status, metadata=reply)
        answer = None if outcome.label is None else template.labels[outcome.label]
        return Score(value=CORRECT if answer == target.text else INCORRECT, answer=answer, metadata=reply)

    return score


def _read(output: ModelOutput, prompt: Prompt, compared: bool) -> tuple[dict[str, Any], Outcome]:
    """What is kept of a reply, and its outcome."""
    if output.stop_reason == "model_length" or output.error:
        return {}, Outcome(status="too_long" if output.stop_reason == "model_length" else "error")
    text, truncated = output.completion, output.stop_reason == "max_tokens"
    if not prompt.label_comes_next:
        return {"reply": text}, from_text(Reply(text=text, truncated=truncated), prompt)
    top, absent = _top(output, prompt)
    listed = from_top(top, prompt, absent)
    if compared and listed.status != "error":
        outcome, text = listed, "" if listed.label is None else prompt.labels[listed.label]
    else:
        outcome = with_probability(from_text(Reply(text=text, truncated=truncated), prompt), listed)
    probability = None if math.isnan(outcome.probability) else outcome.probability
    return {"reply": text, "log_probabilities": top, "probability": probability}, outcome


def _top(output: ModelOutput, prompt: Prompt) -> tuple[Top | None, str]:
    """The likeliest tokens at the answer's place, or why there are none."""
    logprobs = output.choices[0].logprobs if output.choices else None
    try:
        tokens = tokens_of(logprobs.model_dump() if logprobs else None)
        return top_of_answer(tokens, output.completion, stop=prompt.stop), ""
    except NoLogprobsError as reason:
        return None, str(reason)
