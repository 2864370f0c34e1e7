"""Parses a model's reply into an outcome; used by the modes.

What counts is what was written. Where a label was written, or nothing is written (a label's place within a prompt),
log-probabilities give P(y = 1), normalised over the two labels, if together the labels have at least LEAST_MASS.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from llm_icl.backends.exchange import LEAST_MASS, Reply
from llm_icl.backends.spelling import begins, spells
from llm_icl.backends.thinking import without_thinking
from llm_icl.prompting.templates import Prompt

# If a label is not among the top tokens, P(y = 1) is known within a range. The midpoint of a narrower one is used.
_NARROW = 0.01
# A written label to which log-probabilities give less than this share is not what they describe.
_POSSIBLE = 0.01
# Beyond this difference of log-probabilities the smaller one is negligible.
_LARGE = 700.0
# Log-probabilities may exceed 0, and a sum of probabilities 1, by so much through rounding.
_ROUNDING = 0.01

_TOO_LITTLE = f"the labels have less than {100 * LEAST_MASS:g} % of the probability"
_ABOVE_ONE = "probabilities that add up to more than 1"
_TOO_FEW = "a label is not among the top tokens and may have too much of the remaining probability"


@dataclass(frozen=True)
class Outcome:
    """One position: P(y = 1) if known, the label if any, the status, the fraction of repeated replies with this label
    (unknown unless all were answers), and the probability of both labels together if known. `reason` says why there is
    no probability.
    """

    probability: float = math.nan
    label: int | None = None
    status: str = "ok"
    agreement: float = math.nan
    mass: float = math.nan
    reason: str = ""


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
    return Outcome(label=label, agreement=count / len(labels) if len(labels) == len(outcomes) else math.nan)


def from_scores(reply: Reply) -> list[Outcome]:
    """Log-probabilities of both labels at each position."""
    return [_of_scores(zero, one) for zero, one in reply.scores or ()]


def scores_fault(reply: Reply) -> str:
    """Why the log-probabilities of a reply cannot be used; empty if they can."""
    return next((fault for zero, one in reply.scores or () if (fault := _pair_fault(zero, one))), "")


def tops_fault(reply: Reply) -> str:
    """The same for top tokens. Absent ones are no fault."""
    return next((fault for top in reply.tops or () if top and (fault := _fault(tuple(top.values())))), "")


def from_top(top: Mapping[str, float] | None, prompt: Prompt, absent: str = "") -> Outcome:
    """The top next tokens at a label's place. Tokens that spell a label, with blanks or without, are summed.

    A label that is not among them has at most the probability that they leave, and one that a token begins at most that
    token's besides: this gives P(y = 1) a range. Where neither label is listed or begun, the model would write
    something else.
    """
    if top is None:
        return Outcome(status="error", reason=absent or "the reply has no log-probabilities")
    if fault := _fault(tuple(top.values())):
        return Outcome(status="error", reason=fault)
    listed = {token: math.exp(min(value, 0.0)) for token, value in top.items()}
    rest = 1 - sum(listed.values())
    if rest < -_ROUNDING:
        return Outcome(status="error", reason=_ABOVE_ONE)
    rest = max(rest, 0.0)
    least, begun, most = [], 0.0, []
    for label, other in (prompt.labels, prompt.labels[::-1]):
        # A token that may still become the other label is not this one.
        own = [token for token in listed if spells(token, label) and not begins(token, other)]
        parts = [token for token in listed if begins(token, label) or (spells(token, label) and token not in own)]
        least.append(sum(listed[token] for token in own))
        most.append(least[-1] + sum(listed[token] for token in parts) + (0.0 if own else rest))
        begun += sum(listed[token] for token in parts)
    mass = sum(least)
    if mass < LEAST_MASS and begun >= LEAST_MASS:
        return Outcome(status="error", reason=_TOO_FEW)
    if mass < LEAST_MASS:
        known = mass if sum(most) < LEAST_MASS or all(least) else math.nan
        return Outcome(status="unparseable", mass=known, reason=_TOO_LITTLE)
    low, high = least[1] / (least[1] + most[0]), most[1] / (most[1] + least[0])
    if high - low < _NARROW:
        probability = (low + high) / 2
        return Outcome(probability, int(probability > 0.5), mass=mass)
    if low <= 0.5 <= high:
        return Outcome(status="error", mass=mass, reason=_TOO_FEW)
    return Outcome(label=int(low > 0.5), mass=mass, reason=_TOO_FEW)


def with_probability(written: Outcome, listed: Outcome) -> Outcome:
    """A written answer with the probability that the top tokens at its place give it.

    Whether there is an answer is what was written. If the top tokens give P(y = 1), the likelier label is the answer:
    a sampled reply may have the other. One that they call impossible is not what they describe, and stands alone.
    """
    if written.label is None or math.isnan(listed.probability):
        return replace(written, mass=listed.mass, reason=listed.reason)
    share = listed.probability if written.label else 1 - listed.probability
    if share < _POSSIBLE:
        return replace(written, mass=listed.mass, reason="the log-probabilities contradict what was written")
    return listed


def from_text(reply: Reply, prompt: Prompt) -> Outcome:
    """The generated text up to the first stop string, without reasoning. Truncated reasoning has no label."""
    text, truncated = without_thinking(reply.text or ""), reply.truncated
    if text is None:
        return Outcome(status="truncated")
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


def _of_scores(zero: float, one: float) -> Outcome:
    if fault := _pair_fault(zero, one):
        return Outcome(status="error", reason=fault)
    mass = min(math.exp(zero) + math.exp(one), 1.0)
    if mass < LEAST_MASS:
        return Outcome(status="unparseable", mass=mass, reason=_TOO_LITTLE)
    share = _share(zero, one)
    return Outcome(share, int(share > 0.5), mass=mass)


def _pair_fault(zero: float, one: float) -> str:
    if fault := _fault((zero, one)):
        return fault
    if zero == one == -math.inf:
        return "no probability of either label (-inf)"
    return _ABOVE_ONE if math.exp(zero) + math.exp(one) > 1 + _ROUNDING else ""


def _fault(values: Sequence[float]) -> str:
    """Why values are not log-probabilities; empty if they are. -inf is: an impossible token."""
    if any(math.isnan(value) for value in values):
        return "log-probabilities that are not numbers (NaN)"
    if any(value > _ROUNDING for value in values):
        return "log-probabilities above 0"
    return ""


def _share(zero: float, one: float) -> float:
    """P(one) among the two, from log-probabilities."""
    if zero == one:
        return 0.5
    difference = zero - one
    return 0.0 if difference > _LARGE else 1 / (1 + math.exp(difference))
