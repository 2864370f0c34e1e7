"""Which texts a comparison draws: rows that no two roles share, and texts that fit a model's context."""

import dataclasses

import pytest

from llm_icl.backends.catalogue import find_model
from llm_icl.errors import RequestError
from llm_icl.experiments.finetuning.examples import Example
from llm_icl.experiments.finetuning.reader import Reader, Tokens
from llm_icl.experiments.finetuning.request import ComparisonRequest
from llm_icl.experiments.finetuning.text_tasks import Splits, TextTask

TASK = TextTask("toy", "", "", "train", "test", "{{ text }}", ("a", "b b"), 3)


class Words(Reader):
    """A tokenizer that makes a token of each word, and a model with a context of so many."""

    def __init__(self, limit):
        self.limit, self.task, self.beginning, self.separator = limit, TASK, [0], [0]

    def tokens(self, example):
        return Tokens((1,) * len(example.text.split()), ((2, 2), (3, 3)))


def text(name, words, label=0):
    return Example(" ".join([name, *["word"] * (words - 1)]), label, f"{name}, line 1")


def request_of(training, evaluation, **more):
    request = ComparisonRequest(
        find_model("hf/none"), TASK, Splits(training, evaluation), (1, 2, 3), 4, 10, (0.1,), "training", "newline", True
    )
    return dataclasses.replace(request, **more)


def names(texts):
    return [one.text.split()[0] for one in texts]


PLAIN = [text(f"t{i}", 5, i % 2) for i in range(90)], [text(f"e{i}", 5) for i in range(20)]


@pytest.mark.parametrize("seeds", [(0,), (1, 2, 3), (0, 2**31, 2**32 - 1)])
@pytest.mark.parametrize("controls", [True, False])
def test_demonstrations_others_and_validation_texts_share_no_row(seeds, controls):
    request = request_of(*PLAIN, seeds=seeds, controls=controls)
    used = set()
    for seed in seeds:
        demonstrations, others = request.drawn(seed)
        assert len(demonstrations) == 4
        assert len(others) == (4 if controls else 0)
        assert len({*names(demonstrations), *names(others)}) == len(demonstrations) + len(others)
        used |= {*names(demonstrations), *names(others)}
    assert len(set(names(request.validation))) == 50
    assert not used & set(names(request.validation))
    assert set(names(request.evaluation)) <= {f"e{i}" for i in range(20)}


@pytest.mark.parametrize(
    ("more", "enough"),
    [
        ({"seeds": (1,)}, 58), ({"seeds": (1,), "controls": False}, 54),
        ({"choose_on": "evaluation"}, 8), ({"choose_on": "evaluation", "controls": False}, 4),
    ],
)  # fmt: skip
def test_texts_are_asked_for_that_are_used_and_no_others(more, enough):
    training, evaluation = PLAIN
    request_of(training[:enough], evaluation, **more).check()
    with pytest.raises(RequestError, match=f"has {enough - 1} training texts, too few for") as caught:
        request_of(training[: enough - 1], evaluation, **more).check()
    assert ("as many for a control" in str(caught.value)) == more.get("controls", True)
    assert ("to validate learning rates on" in str(caught.value)) == ("choose_on" not in more)


def test_one_text_is_not_enough_to_evaluate_on():
    request_of(PLAIN[0], PLAIN[1][:2]).check()
    with pytest.raises(RequestError, match="has 1 text to evaluate on"):
        request_of(PLAIN[0], PLAIN[1][:1]).check()


# All demonstrations of 5 words, a label of 2 and a separator: 8 tokens each, and at most 7 of a query.
ENOUGH = 1 + 4 * 8 + 7


def test_what_fits_is_drawn_as_it_is():
    request = request_of(*PLAIN, drop=True)
    assert request.shortened(Words(ENOUGH)) == request
    assert request.fitting(Words(ENOUGH), 1) == request.drawn(1)


@pytest.mark.parametrize("words", [ENOUGH, 20])
@pytest.mark.parametrize("role", ["demonstration", "other", "validation", "query"])
def test_one_long_text_is_named_or_left_out(role, words):
    training, evaluation = PLAIN
    request = request_of(training, evaluation, seeds=(1,))
    long = {
        "demonstration": request.drawn(1)[0][2], "other": request.drawn(1)[1][0],
        "validation": request.validation[7], "query": request.evaluation[3],
    }[role]  # fmt: skip
    name = long.text.split()[0]
    longer = [text(name, words, one.label) if one is long else one for one in training + evaluation]
    request = request_of(longer[:90], longer[90:], seeds=(1,))
    reader = Words(ENOUGH)
    if role == "other" and words == 20:  # it is finetuned on, never in the context with others
        assert request.shortened(reader) == request
        return
    with pytest.raises(RequestError) as caught:
        request.fitting(reader, 1)
    assert f"{name}, line 1 has {words + 2} tokens" in str(caught.value)
    assert "--too-long drop" in str(caught.value)
    short = request.shortened(reader)
    assert {one.text.split()[0]: tokens for one, tokens in short.too_long.items()} == {name: words + 2}
    assert short.fitting(reader, 1) == short.drawn(1)
    drawn = [*short.drawn(1)[0], *short.drawn(1)[1], *short.validation, *short.evaluation]
    assert name not in names(drawn)
    assert len(set(names(drawn))) == 4 + 4 + 50 + 10
    assert short.remarks == (
        f"1 text left out, too long for the context with all demonstrations; the longest, {name}, line 1, has "
        f"{words + 2} tokens",
    )
    # Only the long one was replaced, by the next in the order.
    before = [*request.drawn(1)[0], *request.drawn(1)[1]]
    assert len(set(names(before)) - set(names([*short.drawn(1)[0], *short.drawn(1)[1]]))) <= 1


def test_no_more_texts_are_left_out_than_must_be():
    training, _ = PLAIN
    lengths = [5] * 16 + [30, 9, 7, 6]
    request = request_of(training, [text(f"e{i}", words) for i, words in enumerate(lengths)], examples=20)
    for spare, kept in ((0, 5), (1, 6), (2, 7), (3, 7), (4, 9), (24, 9), (25, 30)):
        short = request.shortened(Words(ENOUGH + spare))
        assert max(len(one.text.split()) for one in short.evaluation) == kept
        assert len(short.evaluation) == sum(words <= kept for words in lengths)


def test_too_few_texts_that_fit_are_refused():
    training, evaluation = PLAIN
    with pytest.raises(RequestError, match="has too few texts that fit the context of 39 tokens"):
        request_of(training, evaluation).shortened(Words(ENOUGH - 1))
