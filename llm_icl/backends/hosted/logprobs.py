"""Log-probabilities in every form in which servers send them, and the places of labels among them.

Two forms are in use: a list `content` of tokens, each with `logprob`, `bytes` and `top_logprobs` (chats of OpenAI,
vLLM, SGLang and TGI; llama.cpp also for completions), and the older `tokens`, `token_logprobs`, `top_logprobs` and
`text_offset`, each a list over the tokens (completions of OpenAI, vLLM, SGLang and llama-cpp-python; Together and
Fireworks also for chats). Either is read in both interfaces.

`text_offset` is not used: servers count it in characters or bytes, from the prompt or the completion, with or without a
beginning-of-sequence token, or send -1. Tokens are laid along the text that they spell instead.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, zip_longest
from typing import Any

import numpy as np

from llm_icl.backends.exchange import EchoRequest
from llm_icl.backends.spelling import SPELLINGS
from llm_icl.backends.thinking import END, without_thinking

Top = dict[str, float]

# The name of a token instead of its text, as vLLM writes it if told to.
_ID = re.compile(r"token_id:\d+")
_END_OF_THINKING = re.compile(END.pattern.encode())
# What may stand around an answer: blanks and special tokens.
_AROUND = re.compile(rb"(?:\s|<\|[^<>|]*\|>|</?s>|<(?:eos|bos|pad|unk)>|<(?:start|end)_of_turn>)*")
_PART_OF_CHARACTER = "\ufffd".encode()
# Natural units by which greedy decoding may miss the likeliest token: servers round, and batches change numbers.
_TIE = 0.5
# Natural units by which one log-probability may differ from itself: servers round it in one place and not in another.
_ROUNDED = 5e-3
# Blanks, as the texts of tokens and their names in vocabularies have them.
_BLANKS = re.compile(r"[\s▁ĠĊ]+")
# Below this are no numbers of a model, but what servers write in their place (-9999, the least number, infinity).
_FLOOR = -1000.0
# Tokens that may come before an echoed prompt.
_MOST_BEFORE = 2


class NoLogprobsError(Exception):
    """The reason why the log-probabilities of a reply cannot be read."""


@dataclass(frozen=True)
class Token:
    """One token of a text, and the likeliest tokens at its place, itself included, with their log-probabilities."""

    text: str
    top: tuple[tuple[str, float], ...]

    def listed(self) -> Top:
        """Log-probabilities by text. Tokens with the same text are summed; one that was sent twice counts once. None
        where only what was written is listed, as certain, beside others that are impossible at most: servers that
        compute no others write that.
        """
        once: list[tuple[str, float]] = []
        for text, value in self.top:
            if not any(text == other and _same(value, listed) for other, listed in once):
                once.append((text, value))
        sums: Top = {}
        for text, value in once:
            sums[text] = float(np.logaddexp(sums[text], value)) if text in sums else value
        possible = [value for value in sums.values() if not value < _FLOOR]
        return {} if possible == [0.0] else sums


def tokens_of(logprobs: Any) -> list[Token]:
    """The tokens of a reply. Raises NoLogprobsError if there are none, or no texts of them."""
    listed = (logprobs.get("content") or _as_content(logprobs)) if isinstance(logprobs, dict) else logprobs
    entries = [entry for entry in _list(listed) if entry is not None]
    if not entries:
        raise NoLogprobsError("the server sent no log-probabilities")
    return [_token(entry) for entry in entries]


def top_of_answer(
    tokens: Sequence[Token], text: str, thought: str = "", stop: Sequence[str] = (), greedy: bool = False
) -> Top:
    """The likeliest tokens where the answer in `text` begins; where blanks that are tokens of their own come first,
    what might have been written instead of them is among these.

    Reasoning before it is left out: it may be a part of the text, be sent as `thought`, or be among the tokens alone.
    The text may have been cut at a string of `stop`. Raises NoLogprobsError if the tokens do not spell the answer, or
    are not the likeliest although decoding is `greedy`.
    """
    answer = (without_thinking(text) or "").strip()
    if not answer:
        raise NoLogprobsError("the reply is empty")
    for spelling in SPELLINGS:
        place = _place_of(answer, [spelling(token.text) for token in tokens], thought, stop)
        if place is not None:
            top = tokens[place].listed()
            if not top:
                missing = "of other tokens" if tokens[place].top else "at the answer"
                raise NoLogprobsError(f"the server sent no log-probabilities {missing}")
            own = top.get(tokens[place].text, math.inf)
            # Values that are not log-probabilities are no answer at all, and left to who reads them.
            if greedy and own + _TIE < max(top.values()) <= 0 and not any(map(math.isnan, top.values())):
                raise NoLogprobsError("the log-probabilities contradict what was written")
            return _instead_of_blanks(tokens[:place], top)
    raise NoLogprobsError("the log-probabilities that the server sent are not those of the answer")


def top_of_echo(request: EchoRequest, logprobs: Any) -> list[Top | None]:
    """The likeliest tokens at each label of an echoed prompt; None where the label is not a token of its own.

    Raises NoLogprobsError if the tokens do not spell the prompt.
    """
    tokens = tokens_of(logprobs)
    prompt = request.prompt.encode(errors="replace")
    for spelling in SPELLINGS:
        pieces = [spelling(token.text) for token in tokens]
        starts = _laid_along(prompt, pieces)
        if starts is not None:
            break
    else:
        raise NoLogprobsError("the server does not echo the prompt, or in other tokens")
    written = [i for i, piece in enumerate(pieces) if piece.strip()]
    tops: list[Top | None] = []
    for end, label in zip(request.ends, request.labels, strict=True):
        first = len(request.prompt[:end].encode(errors="replace"))
        last = first + request.gap if label else len(prompt) + request.gap
        # A blank before the label may be part of its token, or another one.
        place = next((i for i in written if first <= starts[i] <= last), None)
        is_label = place is not None and (not label or pieces[place].strip() == label.encode())
        tops.append((tokens[place].listed() or None) if place is not None and is_label else None)
    return tops


def _instead_of_blanks(before: Sequence[Token], top: Top) -> Top:
    """The likeliest tokens behind blanks, each with the probability that the blanks are written, and those that are
    likely instead of a blank: a label that needs none is one of them. Blanks behind reasoning end it.
    """
    if any(not token.text or _BLANKS.sub("", token.text) for token in before):
        return top
    for token in reversed(before):
        listed = token.listed()
        written = listed.pop(token.text, math.nan)
        if not written <= 0:
            break
        behind = {text: written + value for text, value in top.items()}
        top = {
            text: float(np.logaddexp(behind.get(text, -math.inf), listed.get(text, -math.inf)))
            for text in behind | listed
        }
    return top


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _as_content(logprobs: dict[str, Any]) -> list[dict[str, Any]]:
    """The older form in the newer one."""
    tokens, values, tops = (_list(logprobs.get(key)) for key in ("tokens", "token_logprobs", "top_logprobs"))
    return [
        {"token": token, "logprob": value, "top_logprobs": top}
        for token, value, top in zip_longest(tokens, values[: len(tokens)], tops[: len(tokens)])
    ]


def _token(entry: Any) -> Token:
    text = _text(entry)
    if text is None:
        raise NoLogprobsError("the server's log-probabilities do not say the texts of the tokens")
    listed = entry.get("top_logprobs")
    if isinstance(listed, dict):
        listed = [{"token": token, "logprob": value} for token, value in listed.items()]
    top = [pair for one in _list(listed) if (pair := _pair(one)) is not None]
    own = _pair(entry)
    if own is not None and not any(own[0] == one[0] or _one(own, one) for one in top):
        top.append(own)
    return Token(text, tuple(top))


def _one(own: tuple[str, float], other: tuple[str, float]) -> bool:
    """Whether a token is another one whose blanks are written otherwise."""
    return _same(own[1], other[1]) and _BLANKS.sub("", own[0]) == _BLANKS.sub("", other[0])


def _same(value: float, other: float) -> bool:
    return value == other or abs(value - other) <= _ROUNDED


def _pair(entry: Any) -> tuple[str, float] | None:
    """The text and the log-probability of a token; None if one of them was not sent."""
    text = _text(entry)
    value = entry.get("logprob") if text is not None else None
    if text is None or not isinstance(value, int | float):
        return None
    try:
        return text, float(value)
    except OverflowError:  # an integer beyond all floats
        return None


def _text(entry: Any) -> str | None:
    """A token's text: from its bytes if they were sent, since the text may be a part of a character only."""
    if not isinstance(entry, dict):
        return None
    text, raw = entry.get("token"), _list(entry.get("bytes"))
    if raw and all(isinstance(byte, int) and 0 <= byte < 256 for byte in raw):
        text = bytes(raw).decode(errors="replace")
    return text if isinstance(text, str) and not _ID.fullmatch(text) else None


def _place_of(answer: str, pieces: Sequence[bytes], thought: str, stop: Sequence[str]) -> int | None:
    """The index of the piece with which the answer begins; None if the pieces do not spell it."""
    whole, sought, before = b"".join(pieces), answer.encode(errors="replace"), thought.strip().encode(errors="replace")
    after = whole.find(before) + len(before) if before in whole else 0
    after = max(after, *(end.end() for end in _END_OF_THINKING.finditer(whole)), 0)
    found = [match.start() for match in re.finditer(re.escape(sought), whole) if match.start() >= after]
    ended = [at for at in found if _ends(whole[at + len(sought) :], stop)]
    if not ended:
        return None
    at = ended[0] if _AROUND.fullmatch(whole, after, ended[0]) else ended[-1]
    starts = list(accumulate(map(len, pieces), initial=0))
    place = max(i for i in range(len(pieces)) if starts[i] <= at)
    return None if whole[starts[place] : at].decode(errors="replace").strip() else place


def _ends(rest: bytes, stop: Sequence[str]) -> bool:
    """Whether a text may have ended before `rest`: at its end, or at a stop string."""
    ends = [len(rest), *(rest.find(word.encode()) for word in stop)]
    return any(end >= 0 and _AROUND.fullmatch(rest, 0, end) for end in ends)


def _laid_along(prompt: bytes, pieces: Sequence[bytes]) -> list[int] | None:
    """Where each piece begins in the prompt, and in what was generated after it; None if they do not spell it."""
    starts: list[int] = []
    at = 0
    for piece in pieces:
        starts.append(at)
        if at >= len(prompt) or prompt.startswith(piece, at):
            at += len(piece)
        elif found := _inexact(piece if at else piece.lstrip(b" ")).match(prompt, at):  # SentencePiece adds a blank
            at = found.end()
        elif at or len(starts) > _MOST_BEFORE:
            return None
    return starts if at >= len(prompt) else None


def _inexact(piece: bytes) -> re.Pattern[bytes]:
    """A piece that may have lost the blank before it, and characters of which it is only a part, in decoding."""
    return re.compile(rb"\s*" + rb"[\x80-\xff]*".join(map(re.escape, piece.split(_PART_OF_CHARACTER))))
