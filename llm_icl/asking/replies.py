"""Parses a model's reply into an outcome; used by the modes."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llm_icl.backends.exchange import Reply
from llm_icl.prompting.templates import Prompt

# A label outside the top tokens has at most their remaining probability. If this bounds P(y = 1) to a range narrower
# than this, its midpoint is used.
_NARROW = 0.01
# Beyond this difference of log-probabilities the smaller one is negligible.
_LARGE = 700.0


@dataclass(frozen=True)
class Outcome:
    """One position: P(y = 1) if known, the label if any, the status, and the fraction of repeated replies with this
    label.
    """

    probability: float = math.nan
    label: int | None = None
    status: str = "ok"
    agreement: float = math.nan


def agreed(outcomes: Sequence[Outcome]) -> Outcome:
    """The majority label of repeated replies; a tie goes to the label that occurs first.

    Without any label, the status is that of the first reply.
    """
    if len(outcomes) == 1:
        return outcomes[0]
    labels = [outcome.label for outcome in outcomes if outcome.label is not None]
    if not labels:
        return outcomes[0]
    label, count = Counter(labels).most_common(1)[0]  # ties: the first that occurs
    return Outcome(label=label, agreement=count / len(labels))


def from_scores(reply: Reply) -> list[Outcome]:
    """Log-probabilities of both labels at each position."""
    return [_compared(zero, one) for zero, one in reply.scores or ()]


def _compared(zero: float, one: float) -> Outcome:
    share = _share(zero, one)
    return Outcome(status="error") if math.isnan(share) else Outcome(share, int(share > 0.5))


def from_top(top: Mapping[str, float] | None, prompt: Prompt, written: Outcome) -> Outcome:
    """The top next tokens. Variants of a label with and without a leading space are summed."""
    if top is None:
        return written
    scores = [_log_sum([value for token, value in top.items() if token.strip() == label]) for label in prompt.labels]
    if scores[0] is not None and scores[1] is not None:
        return _compared(scores[0], scores[1])
    known = scores[0] if scores[0] is not None else scores[1]
    if known is None:
        return written
    label = int(scores[0] is None)
    rest = 1 - sum(math.exp(value) for value in top.values())
    most = math.log(rest) if rest > 0 else -math.inf
    if most >= known:
        return Outcome(label=written.label, status=written.status)
    bound = _share(known, most) if label == 0 else _share(most, known)
    certain = float(label)
    return Outcome((bound + certain) / 2 if abs(bound - certain) < _NARROW else math.nan, label)


def from_text(reply: Reply, prompt: Prompt) -> Outcome:
    """The generated text up to the first stop string. Truncated reasoning has no label."""
    text, truncated = reply.text or "", reply.truncated
    if reply.constrained:
        text = _constrained_label(text)
    ends = [text.index(stop) for stop in prompt.stop if stop in text]
    if ends:
        text, truncated = text[: min(ends)], False
    label = prompt.parse(text)
    if truncated and (label is None or not prompt.label_comes_next):
        return Outcome(status="truncated")
    return Outcome(label=label, status="unparseable" if label is None else "ok")


def _constrained_label(text: str) -> str:
    """The label in {"label": "1"}; the text itself if the provider did not enforce the schema."""
    try:
        return str(json.loads(text)["label"])
    except (ValueError, KeyError, TypeError):
        return text


def _share(zero: float, one: float) -> float:
    """P(one) among the two, from log-probabilities."""
    if zero == one:
        return 0.5
    difference = zero - one
    return 0.0 if difference > _LARGE else 1 / (1 + math.exp(difference))


def _log_sum(values: Sequence[float]) -> float | None:
    if not values:
        return None
    top = max(values)
    return top + math.log(sum(math.exp(value - top) for value in values)) if top > -math.inf else top
