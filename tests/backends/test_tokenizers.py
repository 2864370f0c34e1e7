"""Tokenizers of every kind: a curve, separate positions and the definition agree, or there is a stated reason."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.special import logit
from tokenizers import Tokenizer, models, normalizers

from llm_icl.asking.plan import plan_for
from llm_icl.backends import backends, find_model
from llm_icl.backends.tokenizers import TextTokens
from llm_icl.config.specs import parse_specs
from llm_icl.errors import RequestError
from llm_icl.prompting import load_prompt, render
from llm_icl.tasks.cards import load_task
from llm_icl.tasks.drawing import draw_problems
from tests.asking.ask import ask
from tests.backends.making import (
    byte_level,
    characters,
    cutting,
    framed,
    label_log_odds,
    normalised,
    save,
    sentence_pieces,
    unigram,
    with_merges,
    word_pieces,
    words,
)

# Largest difference of log-odds between two ways of computing them in float32.
TOLERANCE = 1e-3
BOTH, BEGUN, ENDED = "<s> $A </s>", "<s> $A", "$A </s>"


@dataclass(frozen=True)
class Case:
    """A tokenizer, and why it has no curve, or cannot be asked at all; `prompt` is the prompt asked."""

    make: Callable[[], Tokenizer]
    no_curve: str = ""
    refused: str = ""
    prompt: str = "basic"


CASES = {
    "byte-level": Case(byte_level),
    "byte-level with BOS": Case(lambda: framed(byte_level(), BEGUN)),
    "byte-level with EOS": Case(lambda: framed(byte_level(), ENDED)),
    "byte-level with BOS twice": Case(lambda: framed(byte_level(), "<s> <s> $A")),
    "byte-level with a leading blank": Case(lambda: byte_level(prefix=True)),
    "byte-level, cutting": Case(lambda: cutting(byte_level())),
    "byte-level, cutting, with both": Case(lambda: cutting(framed(byte_level(), BOTH))),
    "byte-level, blank and label one token": Case(
        lambda: with_merges(byte_level(words=False, merges=0), ("Ġ", "0"), ("Ġ", "1"))
    ),
    "byte-level, digits merged": Case(
        lambda: with_merges(byte_level(words=False, merges=0), ("0", "1"), ("1", "0"), ("1", "1")),
        prompt="basic:inputs=compact",
    ),
    "byte-level, label merged with the line break": Case(
        lambda: with_merges(byte_level(words=False, merges=0), ("0", "Ċ"), ("1", "Ċ")), no_curve="merges the label"
    ),
    "byte-level, one label merged with what is before": Case(
        lambda: with_merges(byte_level(words=False, merges=0), (":", "Ġ"), (":Ġ", "1")), no_curve="are 2 and 1 tokens"
    ),
    "byte-level, labels of several tokens": Case(
        lambda: framed(byte_level(merges=0), BOTH), no_curve="must be one each", prompt="basic:labels=no/yes"
    ),
    "BPE pieces with bytes": Case(sentence_pieces),
    "BPE pieces with BOS and EOS": Case(lambda: framed(sentence_pieces(), BOTH)),
    "BPE pieces without a leading blank": Case(lambda: framed(sentence_pieces("never"), BEGUN)),
    "BPE pieces, always a leading blank": Case(lambda: sentence_pieces("always")),
    "BPE pieces, labels of bytes": Case(sentence_pieces, prompt="basic:labels=+/-"),
    "BPE pieces, one label with its blank": Case(
        lambda: sentence_pieces(merges=[("▁", "0")]), no_curve="are 1 and 2 tokens"
    ),
    "BPE pieces, both labels with their blanks": Case(lambda: sentence_pieces(merges=[("▁", "0"), ("▁", "1")])),
    "unigram": Case(unigram),
    "unigram, labels with their blanks": Case(lambda: framed(unigram("▁0", "▁1"), BOTH)),
    "unigram, one label with its blank": Case(lambda: unigram("▁1"), no_curve="are 2 and 1 tokens"),
    "word pieces": Case(word_pieces),
    "word pieces between CLS and SEP": Case(lambda: framed(word_pieces(), BOTH)),
    "word pieces, labels that differ in case only": Case(
        word_pieces, refused="the tokens of one are a prefix", prompt="basic:labels=a/A"
    ),
    "words": Case(words),
    "words, EOS": Case(lambda: framed(words(), ENDED)),
    "words, unknown labels": Case(words, refused="no token for 'plus'", prompt="basic:labels=plus/minus"),
    "words, one unknown label": Case(words, refused="no token for 'minus'", prompt="basic:labels=no/minus"),
    "words, unknown inputs": Case(words, refused="no token for '", prompt="basic:inputs=compact"),
    "characters": Case(characters),
    "characters, both, cutting": Case(lambda: cutting(framed(characters(), BOTH))),
    "characters without 1": Case(lambda: characters(without="1"), refused="no token for '1'"),
    "characters without a bracket": Case(
        lambda: characters(without="["), refused=r"no token for '\['", prompt="basic:inputs=list"
    ),
    "characters without line breaks": Case(lambda: characters(without="\n")),
    "lower case, NFKC, stripped": Case(
        lambda: normalised(byte_level(), normalizers.NFKC(), normalizers.Lowercase(), normalizers.Strip())
    ),
    "line breaks are blanks, blanks are one": Case(
        lambda: normalised(characters(), normalizers.Replace("\n", " "), normalizers.Replace("  ", " "))
    ),
}


def draw(points=8, n=4):
    return draw_problems(load_task(parse_specs(["majority"])[0]), n, points, 2, 0)


def load(folder):
    entry = find_model(str(folder))
    return backends.get(entry.backend)(entry)


def texts_and_labels(prompt, problems, problem):
    loaded = load_prompt(parse_specs([prompt])[0])
    texts = [render(loaded, problems, problem, k).completion() for k in range(problems.points)]
    return texts, tuple(f" {label}" for label in loaded.labels)


def definition(folder, prompt, problems):
    """The log-odds by the tokenizer alone: the text whole, begun once, and not ended."""
    made = Tokenizer.from_file(str(folder / "tokenizer.json"))
    made.no_truncation()
    made.no_padding()
    bos, eos = (made.token_to_id(token) for token in ("<s>", "</s>"))

    def encode(text):
        tokens = [token for token in made.encode(text).ids if token != eos]
        return tokens[1:] if tokens[:2] == [bos, bos] else tokens

    return np.array(
        [label_log_odds(folder, *texts_and_labels(prompt, problems, i), encode=encode) for i in range(len(problems))]
    )


@pytest.mark.parametrize("name", CASES)
def test_curve_and_positions_are_the_definition_or_refused_with_the_reason(name, tmp_path):
    case, problems = CASES[name], draw()
    folder = save(tmp_path / "model", case.make())
    if case.refused:
        for mode in ("curve", "positions"):
            with pytest.raises(RequestError, match=case.refused):
                ask(load(folder), case.prompt, problems, tmp_path, mode)
        return
    model, truth = load(folder), definition(folder, case.prompt, problems)
    assert truth.std() > 0.1  # the comparison can fail
    separate = ask(model, case.prompt, problems, tmp_path, "positions").answers.probability
    np.testing.assert_allclose(logit(separate), truth, atol=TOLERANCE)
    plan = plan_for(model, load_prompt(parse_specs([case.prompt])[0]), problems, range(problems.points))
    if case.no_curve:
        assert plan.mode == "positions"
        assert case.no_curve in plan.reasons[0]
    else:
        assert (plan.mode, plan.reasons) == ("curve", ())
        curve = ask(model, case.prompt, problems, tmp_path, "curve").answers.probability
        np.testing.assert_allclose(logit(curve), truth, atol=TOLERANCE)


def test_a_tokenizer_written_in_python_is_asked_alike(tmp_path):
    from transformers import ByT5Tokenizer

    folder, problems = save(tmp_path / "model", ByT5Tokenizer(extra_ids=0)), draw()
    model = load(folder)
    assert model._tokens.after == [1]  # </s>

    def encode(text):
        return [byte + 3 for byte in text.encode()]

    truth = np.array(
        [label_log_odds(folder, *texts_and_labels("basic", problems, i), encode=encode) for i in range(len(problems))]
    )
    for mode in ("curve", "positions"):
        found = ask(model, "basic", problems, tmp_path, mode).answers.probability
        np.testing.assert_allclose(logit(found), truth, atol=TOLERANCE)


def test_a_sign_that_only_added_tokens_have_is_not_missing(tmp_path):
    made = characters(without="[|")
    made.add_special_tokens(["[INST]", "<|user|>"])
    model = load(save(tmp_path / "model", made))
    tokens = model.tokenize(["<|user|>[INST] 0 1"])[0]
    assert tokens[:2] == [made.token_to_id("<|user|>"), made.token_to_id("[INST]")]
    with pytest.raises(RequestError, match=r"no token for '\['"):
        model.tokenize(["[INST] [0, 1]"])


def test_dropout_of_a_tokenizer_is_switched_off(tmp_path):
    made = byte_level()
    save(tmp_path / "plain", made)
    made.model.dropout = 0.5
    folder = save(tmp_path / "dropping", made)
    assert Tokenizer.from_file(str(folder / "tokenizer.json")).model.dropout == 0.5
    text = "You are given some examples of inputs. Input: 0 1\nLabel:"
    assert load(folder).tokenize([text] * 5) == load(tmp_path / "plain").tokenize([text] * 5)


def test_a_shorter_limit_of_the_tokenizer_cuts_nothing(tmp_path):
    short = load(save(tmp_path / "short", byte_level(), model_max_length=16))
    usual = load(save(tmp_path / "usual", byte_level()))
    text = "Input: 0 1\nLabel: 1\n" * 20
    assert short.tokenize([text]) == usual.tokenize([text])
    assert len(short.tokenize([text])[0]) > 100


def test_what_is_written_starts_from_a_prompt_that_has_not_ended(tmp_path):
    """The prompts of generation are those of the other modes."""
    model = load(save(tmp_path / "model", framed(byte_level(), BOTH)))
    texts = ["Input: 0 1\nLabel:", "<s>Input: 0 1\nLabel:"]
    (once, again), (bos, eos) = model.tokenize(texts), (1, 2)
    assert once == again
    assert (once[0], once.count(bos), once.count(eos)) == (bos, 1, 0)
    written = [reply.text for reply in model.generate(texts, 4, [])]
    assert written[0] == written[1]


def test_what_is_left_out_makes_another_model_in_the_cache(tmp_path):
    ending, plain = load(save(tmp_path / "a", framed(byte_level(), BOTH))), load(save(tmp_path / "b", byte_level()))
    assert ending.identity()["appended tokens"] == "[2] left out"
    assert "appended tokens" not in plain.identity()


def test_a_word_list_without_an_unknown_word_says_what_it_cannot_write(tmp_path):
    made = words()
    made.model = models.WordLevel(made.get_vocab(), unk_token="[absent]")
    folder = save(tmp_path / "model", made, unk_token=None)
    assert plan_for(load(folder), load_prompt(parse_specs(["basic"])[0]), draw(), range(8)).mode == "curve"
    with pytest.raises(RequestError, match="fails: WordLevel error"):
        ask(load(folder), "basic:labels=plus/minus", draw(), tmp_path, "positions")


@pytest.mark.parametrize(
    ("encode", "reason"),
    [
        (lambda texts, special: [[*map(ord, text), 2] for text in texts], "writes the same token after every text"),
        (
            lambda texts, special: [[1, *map(ord, text.lower() if special else text)] for text in texts],
            "differently between its special tokens",
        ),
        (lambda texts, special: [[] for _ in texts], "differently between its special tokens"),
    ],
)
def test_a_tokenizer_whose_own_tokens_cannot_be_told_apart_is_refused(encode, reason):
    with pytest.raises(RequestError, match=reason):
        TextTokens("odd", encode)
