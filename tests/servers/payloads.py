"""The choices that servers reply with, in the form that each of them writes, where the label 1 was written.

At the label's place 1 has the probability 0.6, 0 has 0.3 and "the" 0.05. Reasoning comes before it in some, and its
first token lists labels too, as improbable ones and the other way round.
"""

import math
from typing import Any

P = {"1": math.log(0.6), "0": math.log(0.3), "the": math.log(0.05)}
# At the first token of the reasoning.
THINKING = {"<think>": -1e-6, "0": -14.0, "1": -15.5}


def entry(token: str, tops: dict[str, float], **fields: Any) -> dict[str, Any]:
    """One token, in the form of OpenAI's chats, with the bytes of each."""
    listed = [{"token": text, "bytes": list(text.encode()), "logprob": value} for text, value in tops.items()]
    own = {"token": token, "bytes": list(token.encode()), "logprob": tops.get(token, -0.01)}
    return own | fields | {"top_logprobs": listed}


def without(key: str, entries: list[dict[str, Any]], value: Any = ...) -> list[dict[str, Any]]:
    """The entries without a field, or with another value in it."""

    def change(one: dict[str, Any]) -> dict[str, Any]:
        kept = {name: given for name, given in one.items() if name != key}
        return kept if value is ... else kept | {key: value}

    return [
        change(one) | ({"top_logprobs": [change(top) for top in one["top_logprobs"]]} if "top_logprobs" in one else {})
        for one in entries
    ]


def spelled(entries: list[dict[str, Any]], spell: Any) -> list[dict[str, Any]]:
    """The entries with other texts of the tokens, and no bytes."""

    def change(one: dict[str, Any]) -> dict[str, Any]:
        return one | {"token": spell(one["token"]), "bytes": None}

    return [change(one) | {"top_logprobs": [change(top) for top in one["top_logprobs"]]} for one in entries]


def chat(content: Any, logprobs: Any, finish: str = "stop", **message: Any) -> dict[str, Any]:
    told = {"role": "assistant", "content": content} | message
    return {"index": 0, "message": told, "logprobs": logprobs, "finish_reason": finish}


def completion(text: str, logprobs: Any, finish: str = "stop") -> dict[str, Any]:
    return {"index": 0, "text": text, "logprobs": logprobs, "finish_reason": finish}


def legacy(tokens: dict[str, dict[str, float] | None], offsets: list[int] | None = None) -> dict[str, Any]:
    """The form of OpenAI's completions: tokens with their top tokens."""
    values = [None if tops is None else tops.get(token, -0.01) for token, tops in tokens.items()]
    return {
        "tokens": list(tokens), "token_logprobs": values, "top_logprobs": list(tokens.values()),
        "text_offset": offsets or [5 * i for i in range(len(tokens))],
    }  # fmt: skip


def blank(tops: dict[str, float], mark: str = " ") -> dict[str, float]:
    """The same tokens with the blank before them."""
    return {f"{mark}{token}": value for token, value in tops.items()}


LABEL = [entry("1", P)]
THOUGHT = [
    entry("<think>", THINKING), entry("\n", {"\n": -0.1}), entry("1", {"1": -0.5, "0": -9.0}),
    entry(" or", {" or": -0.1}), entry(" 0", {" 0": -0.2, " 1": -0.3}), entry("</think>", {"</think>": -0.1}),
    entry("\n\n", {"\n\n": -0.1}),
]  # fmt: skip
# A blank that is a token of its own, and what is likely instead.
BLANK = {" ": -0.1, "1": -3.0}
CHANNELS = [
    entry("<|channel|>", {"<|channel|>": -0.1, "0": -14.0, "1": -15.5}), entry("analysis", {}),
    entry("<|message|>", {}), entry("1", {"1": -0.5, "0": -9.0}), entry("?", {}), entry("<|end|>", {}),
    entry("<|start|>", {}), entry("assistant", {}), entry("<|channel|>", {}), entry("final", {"final": -0.1}),
    entry("<|message|>", {"<|message|>": -0.1}),
]  # fmt: skip
END = [entry("<|im_end|>", {"<|im_end|>": -0.1})]
RETURN = [entry("<|return|>", {"<|return|>": -0.1})]

CHATS = {
    "OpenAI": chat("1", {"content": LABEL, "refusal": None}, refusal=None),
    "vLLM": chat("1", {"content": LABEL + END}, reasoning=None, tool_calls=[]),
    "vLLM, reasoning": chat("1", {"content": THOUGHT + LABEL + END}, reasoning="\n1 or 0"),
    "vLLM, older, reasoning": chat("\n\n1", {"content": THOUGHT + LABEL + END}, reasoning_content="\n1 or 0"),
    "vLLM, reasoning in the content": chat("<think>\n1 or 0</think>\n\n1", {"content": THOUGHT + LABEL + END}),
    "vLLM, reasoning begun by the template": chat("1 or 0</think>\n\n1", {"content": THOUGHT[2:] + LABEL + END}),
    "vLLM, gpt-oss": chat("1", {"content": CHANNELS + LABEL + RETURN}, reasoning="1?"),
    "gpt-oss in the content": chat(
        "<|channel|>analysis<|message|>1?<|end|><|start|>assistant<|channel|>final<|message|>1",
        {"content": CHANNELS + LABEL + RETURN},
    ),
    "gpt-oss, special tokens without a text": chat(
        "1", {"content": spelled(CHANNELS + LABEL + RETURN, lambda text: "" if text.startswith("<|") else text)},
        reasoning="1?",
    ),
    "SGLang": chat("1", {"content": LABEL}, matched_stop=None, reasoning_content=None),
    "SGLang, reasoning": chat("1", {"content": THOUGHT + LABEL}, reasoning_content="\n1 or 0"),
    "TGI": chat("1", {"content": without("bytes", LABEL + END)}),
    "Ollama": chat("1", {"content": LABEL}, reasoning=""),
    "Ollama, reasoning apart from the tokens": chat("1", {"content": LABEL}, reasoning="1 or 0"),
    "llama.cpp": chat("1", {"content": [one | {"id": 16} for one in LABEL]}, tool_calls=None),
    "llama.cpp, reasoning": chat("1", {"content": THOUGHT + LABEL}, reasoning_content="1 or 0"),
    "llama-cpp-python": chat("1", {"content": without("bytes", LABEL, None), "refusal": None}),
    "Together, Fireworks, older": chat("1", legacy({"1": P}) | {"token_ids": [16]}),
    "older, lists of tops": chat("1", legacy({"1": P}) | {"top_logprobs": [LABEL[0]["top_logprobs"]]}),
    "tops as a dictionary": chat("1", {"content": [entry("1", P) | {"top_logprobs": P}]}),
    "Fireworks": chat("1", {"content": [one | {"token_id": 16, "sampling_logprob": -0.5} for one in LABEL]}),
    "DeepSeek": chat("1", {"content": LABEL, "reasoning_content": THOUGHT}, reasoning_content="1 or 0"),
    "Mistral": chat(
        [{"type": "thinking", "thinking": [{"type": "text", "text": "1 or 0"}]}, {"type": "text", "text": "1"}],
        {"content": LABEL},
    ),
    "a list of the tokens": chat("1", LABEL),
    "SentencePiece": chat("1", {"content": spelled([entry("▁1", blank(P, "▁"))], str)}),
    "byte-level BPE": chat("1", {"content": spelled([entry("Ġ1", blank(P, "Ġ"))], str)}),
    "bytes as texts": chat("1", {"content": spelled([entry("<0x31>", {"<0x31>": P["1"], "<0x30>": P["0"]})], str)}),
    "bytes only": chat("1", {"content": without("token", LABEL, "")}),
    "no text but the tokens": chat(None, {"content": LABEL}),
    "a blank that is not ASCII": chat("\u00a01", {"content": [entry("\u00a01", {"\u00a01": P["1"], "0": P["0"]})]}),
    "labels with blanks and without": chat(
        "1",
        {"content": [entry("1", {"1": math.log(0.4), " 1": math.log(0.15), "1\n": math.log(0.05), "0": P["0"]})]},
    ),
    "one text twice": chat(
        "1",
        {"content": [LABEL[0] | {"top_logprobs": [
            {"token": "1", "logprob": math.log(0.4)}, {"token": "1", "logprob": math.log(0.2)},
            {"token": "0", "logprob": P["0"]}, {"token": "0", "logprob": P["0"]},
        ]}]},
    ),
    "null entries": chat("1", {"content": [None, LABEL[0] | {"top_logprobs": [
        {"token": "x", "logprob": None}, {"token": None, "logprob": -1.0}, None, *LABEL[0]["top_logprobs"],
    ]}]}),
    "impossible tokens": chat("1", {"content": [entry("1", P | {"a": -math.inf, "b": -9999.0, "c": -3.4e38})]}),
    "cut at a stop string that the tokens contain": chat(
        "1", {"content": [*LABEL, entry("\n", {"\n": -0.1}), entry("0", {"0": -0.1})]}
    ),
}  # fmt: skip

COMPLETIONS = {
    "OpenAI, vLLM": completion(" 1", legacy({" 1": blank(P), "\n": {"\n": -0.1}}), "length"),
    "SGLang": completion(" 1", legacy({" 1": blank(P)}, [-1])),
    "llama.cpp": completion(" 1", {"content": [entry(" 1", blank(P), id=352)]}),
    "llama-cpp-python": completion(" 1", legacy({" 1": blank(P)}, [44])),
    "SentencePiece": completion(" 1", legacy({"▁1": blank(P, "▁")})),
    "byte-level BPE": completion(" 1", legacy({"Ġ1": blank(P, "Ġ"), "Ċ": {"Ċ": -0.1}})),
    "a blank that decoding lost": completion(" 1", legacy({"1": P})),
    "reasoning": completion(
        "<think>0</think>1", legacy({"<think>": THINKING, "0": {"0": -0.1, "1": -0.2}, "</think>": {}, "1": P})
    ),
}

# Without log-probabilities that can be read: the label that was written stands, and the reason is said.
NO_LOGPROBS = "the server sent no log-probabilities"
NO_TEXTS = "the server's log-probabilities do not say the texts of the tokens"
OTHERS = "the log-probabilities that the server sent are not those of the answer"
ABSENT = {
    "LM Studio": (chat("1", None), NO_LOGPROBS),
    "Ollama, older": ({"index": 0, "message": {"role": "assistant", "content": "1"}}, NO_LOGPROBS),
    "empty": (chat("1", {}), NO_LOGPROBS),
    "an empty list": (chat("1", {"content": [], "refusal": None}), NO_LOGPROBS),
    "null": (chat("1", {"content": None, "refusal": None}), NO_LOGPROBS),
    "a text": (chat("1", "none"), NO_LOGPROBS),
    "null values": (
        chat("1", {"content": without("logprob", LABEL, None)}), "the server sent no log-probabilities at the answer",
    ),
    "TGI, older": (chat("1", [-0.1]), NO_TEXTS),
    "vLLM that names tokens by their numbers": (
        chat("1", {"content": [entry("token_id:16", {"token_id:16": P["1"], "token_id:15": P["0"]})]}), NO_TEXTS,
    ),
    "a list of texts": (chat("1", ["1", "0"]), NO_TEXTS),
    "tops that are a number": (
        chat("1", {"content": [LABEL[0] | {"top_logprobs": 5}]}),
        "a label is not among the top tokens and may have too much of the remaining probability",
    ),
    "MLX": (
        chat("1", {"tokens": [16], "token_logprobs": [P["1"]], "top_logprobs": [{"16": P["1"], "15": P["0"]}]}),
        NO_TEXTS,
    ),
    "the reasoning alone": (chat("1", {"content": THOUGHT[:1]}, reasoning_content="1 or 0"), OTHERS),
    "another text": (chat("1", {"content": [entry("The", {"The": -0.1, "0": -2.5, "1": -3.5})]}), OTHERS),
    "the other label": (chat("1", {"content": [entry("0", {"0": -0.1, "1": -2.5})]}), OTHERS),
    "a part of a longer token": (chat("1", {"content": [entry("01", {"01": -0.1, "0": -2.5, "1": -3.5})]}), OTHERS),
    "values that are no distribution": (
        chat("1", {"content": [entry("1", {"1": -0.1, "0": -0.2})]}), "probabilities that add up to more than 1",
    ),
    "the label's token alone": (
        chat("1", {"tokens": ["1"], "token_logprobs": [P["1"]], "top_logprobs": None}),
        "a label is not among the top tokens and may have too much of the remaining probability",
    ),
}  # fmt: skip
