"""Probabilities of labels of several tokens, from token probabilities."""

from llm_icl.backends.exchange import LabelScores
from llm_icl.prompting.layout import LabelPlace

Node = tuple[tuple[int, ...], tuple[int, ...]]


def label_nodes(place: LabelPlace) -> list[Node]:
    """The queries for both labels' probabilities: a prefix, and the tokens to score after it."""
    nodes: list[Node] = [(place.context, (place.zero[0], place.one[0]))]
    for label in (place.zero, place.one):
        nodes += [((*place.context, *label[:k]), (label[k],)) for k in range(1, len(label))]
    return nodes


def label_scores(place: LabelPlace, values: dict[tuple[tuple[int, ...], int], float]) -> LabelScores:
    """The sums over the labels' tokens, from the log-probability of each token after what is before it."""
    zero, one = (
        sum(values[(*place.context, *label[:k]), token] for k, token in enumerate(label))
        for label in (place.zero, place.one)
    )
    return LabelScores(zero, one)
