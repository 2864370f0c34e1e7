"""What providers reply: the answer in the forms of OpenAI's three interfaces and of Anthropic's messages, as these and
other servers write them. What is beside an answer is not relied on.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

from llm_icl.backends.exchange import EchoRequest, Request, TopRequest
from llm_icl.backends.hosted.logprobs import NoLogprobsError, tokens_of, top_of_answer, top_of_echo
from llm_icl.backends.hosted.reasons import Reason, reason_of
from llm_icl.config.secrets import redact

# Where chats put the model's reasoning.
_THOUGHTS = ("reasoning_content", "reasoning", "thinking")
# The types of a content's parts: texts, and reasoning.
_TEXTS = ("text", "output_text", "")
_THINKING = ("thinking", "reasoning", "reasoning_text", "redacted_thinking", "reasoning_content")
# A larger number of tokens is not a count.
_MOST_TOKENS = 10**9


class BadReplyError(Exception):
    """Why a reply is not an answer."""


def json_of(text: str) -> Any:
    """The value in a text. A whole number of more digits than Python reads is a float, so that nothing beside an answer
    makes it unreadable. Raises ValueError, RecursionError.
    """
    return json.loads(text.removeprefix("\ufeff"), parse_int=_whole)


def _whole(digits: str) -> int | float:
    try:
        return int(digits)
    except ValueError:
        return float(digits)


def error_in(answer: Mapping[str, Any]) -> Reason:
    """The reason in a reply that should have been an answer: of the whole, or of its first choice."""
    if not any(key in answer for key in ("choices", "output", "content")):
        return reason_of(answer)
    choices = answer.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return reason_of(answer.get("error") or (first.get("error") if isinstance(first, Mapping) else None))


def read_choice(request: Request, choice: Any, greedy: bool) -> dict[str, Any]:
    """The members of a reply, from a chat's choice or a completion's. With `greedy` decoding the likeliest token is
    written. Raises BadReplyError.
    """
    if not isinstance(choice, Mapping):
        raise BadReplyError("its choice is not an object")
    finish = _finish(choice)
    members: dict[str, Any] = {"truncated": finish in ("length", "max_tokens", "model_length")}
    if isinstance(request, EchoRequest):
        try:
            return members | {"tops": top_of_echo(request, choice.get("logprobs"))}
        except NoLogprobsError as reason:
            return members | {"tops": [None] * len(request.ends), "absent": str(reason)}
    message = choice.get("message") if "message" in choice else {"content": choice.get("text")}
    if message is None or (message == {"content": None} and "text" not in choice):
        if not finish:
            raise BadReplyError("its choice has no message")
        message = {}
    if not isinstance(message, Mapping):
        raise BadReplyError("its message is not an object")
    text, thought, refusal = _content(message)
    if refusal or finish.startswith(_FILTERED):
        return members | {"status": "refused", "text": refusal or text or ""}
    if finish in _STOPPED:
        raise BadReplyError(f"the server stopped it ({finish})")
    if choice.get("error") and not (text or "").strip():
        raise BadReplyError("its choice has an error instead of a text")
    if thought:
        text = (text or "").lstrip()
    calls = bool(message.get("tool_calls") or message.get("function_call"))
    if thought and not text and not calls:  # a limit or a stop string ended the reasoning
        members["truncated"] = True
    if not isinstance(request, TopRequest):
        return members | {"text": text or ""}
    try:
        tokens = tokens_of(choice.get("logprobs"))
        if text is None and not calls:  # only the tokens say what was written
            text = "".join(token.text for token in tokens)
        top = top_of_answer(tokens, text or "", thought, request.stop, greedy)
        return members | {"text": text or "", "tops": [top]}
    except NoLogprobsError as reason:
        return members | {"text": text or "", "tops": [None], "absent": str(reason)}


# Ends that providers name otherwise than OpenAI: Gemini and Zhipu of filters; SGLang, Zhipu and DeepSeek of servers.
_FILTERED = ("content_filter", "safety", "recitation", "prohibited_content", "blocklist", "spii", "sensitive")
_STOPPED = ("error", "abort", "network_error", "insufficient_system_resource")


def _finish(choice: Mapping[str, Any]) -> str:
    """Why the text ended. SGLang writes an object with a type."""
    reason = choice.get("finish_reason")
    reason = reason.get("type") if isinstance(reason, Mapping) else reason
    return reason.lower() if isinstance(reason, str) else ""


def _content(message: Mapping[str, Any]) -> tuple[str | None, str, str]:
    """The written text, None if there is none, the reasoning that was sent apart from it, and the refusal."""
    content = message.get("content")
    thought = next((text for key in _THOUGHTS if isinstance(text := message.get(key), str) and text.strip()), "")
    refusal = message.get("refusal")
    refusal = refusal if isinstance(refusal, str) else ""
    if isinstance(content, Mapping):
        content = [content]
    if isinstance(content, list):
        text, thoughts, refused = _parts(content)
        return text, thought or thoughts, refusal or refused
    if content is not None and not isinstance(content, str):
        raise BadReplyError("its content is not a text")
    return content, thought, refusal


def _parts(parts: list[Any]) -> tuple[str, str, str]:
    """The text, the reasoning and the refusal of a content's parts. Raises BadReplyError for any other part."""
    text, thought, refusal = "", "", ""
    for part in parts:
        if part is None:
            continue
        if isinstance(part, str):
            text += part
            continue
        kind = part.get("type") or "" if isinstance(part, Mapping) else "?"
        if kind in _TEXTS and isinstance(part.get("text"), str | None):
            text += part.get("text") or ""
        elif kind == "refusal":
            refusal += str(part.get("refusal") or part.get("text") or "refused")
        elif kind in _THINKING:
            thought += _thought(part)
        else:
            raise BadReplyError(f"its content has a part of the type {redact(str(kind))[:40]!r}")
    return text, thought, refusal


def _thought(part: Mapping[str, Any]) -> str:
    said = next((part[key] for key in ("thinking", "text", "reasoning", "summary") if part.get(key)), "")
    if isinstance(said, list):
        return " ".join(str(one.get("text", "")) for one in said if isinstance(one, Mapping))
    return str(said)


def read_response(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a reply, from the Responses interface. Raises BadReplyError."""
    items = answer.get("output")
    if not isinstance(items, list):
        raise BadReplyError("it has no output")
    text, refusal = "", ""
    for item in items:
        if not isinstance(item, Mapping) or item.get("type") != "message":
            continue  # reasoning, calls of tools
        content = item.get("content")
        written, _, refused = _parts([content] if isinstance(content, str) else content or [])
        text, refusal = text + written, refusal + refused
    details = answer.get("incomplete_details")
    cut = details.get("reason") if isinstance(details, Mapping) else None
    if refusal or cut == "content_filter":
        return {"status": "refused", "text": refusal or text, "truncated": False}
    status = answer.get("status", "completed" if text else None)
    if status not in ("completed", "incomplete"):
        raise BadReplyError(f"its status is {redact(str(status))[:40]!r}")
    return {"text": text, "truncated": status == "incomplete" and cut in ("max_output_tokens", "max_tokens", None)}


# Stop reasons of Anthropic's messages without an answer.
_STATUSES = {"refusal": "refused", "model_context_window_exceeded": "too_long"}


def read_message(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a reply, from Anthropic's messages. Raises BadReplyError."""
    content, reason = answer.get("content"), answer.get("stop_reason")
    if isinstance(content, str):
        content = [content]
    if not isinstance(content, list) and reason is None:
        raise BadReplyError("it has no content")
    blocks = [block for block in content or [] if not (isinstance(block, Mapping) and block.get("type") in _TOOLS)]
    text, _, refusal = _parts(blocks)
    members: dict[str, Any] = {"text": text, "truncated": reason == "max_tokens"}
    status = "refused" if refusal else _STATUSES.get(reason) if isinstance(reason, str) else None
    return members | ({"status": status} if status else {})


_TOOLS = ("tool_use", "server_tool_use")


def usage_of(usage: Any) -> dict[str, int]:
    """Billed tokens: plain input, input from the provider's cache and into it, output with its reasoning; empty where
    the server does not say them.
    """
    if not isinstance(usage, Mapping):
        return {}
    whole, output = (_first(usage, names) for names in (("prompt_tokens", "input_tokens"), _OUTPUT))
    if whole is None or output is None:
        return {}
    inside = usage.get("prompt_tokens_details") or usage.get("input_tokens_details")
    outside = usage.get("completion_tokens_details") or usage.get("output_tokens_details")
    reasoning = _first(outside, ("reasoning_tokens",)) or 0
    # Some count reasoning apart from the output, which only the total shows, or that there is more of it.
    total = _first(usage, ("total_tokens",)) or 0
    output = max(output, total - whole, output + reasoning if reasoning > output else 0)
    cached, write = _first(inside, ("cached_tokens",)) or 0, _first(inside, ("cache_write_tokens",)) or 0
    return {
        "input": max(whole - cached - write, 0),
        "cached": cached,
        "write": write,
        "output": output,
        "reasoning": reasoning,
    }


_OUTPUT = ("completion_tokens", "output_tokens")


def message_usage_of(usage: Any) -> dict[str, int]:
    """The same from Anthropic's messages, where plain input is counted apart."""
    read, written = _first(usage, ("input_tokens",)), _first(usage, ("output_tokens",))
    if read is None or written is None:
        return {}
    return {
        "input": read,
        "cached": _first(usage, ("cache_read_input_tokens",)) or 0,
        "write": _first(usage, ("cache_creation_input_tokens",)) or 0,
        "output": written,
    }


def _first(counts: Any, names: tuple[str, ...]) -> int | None:
    """The first count among those names; None if there is none."""
    for name in names if isinstance(counts, Mapping) else ():
        value = counts.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _MOST_TOKENS:
            return math.ceil(value)
    return None


def model_of(answer: Mapping[str, Any]) -> str:
    """The server's name of the model."""
    name = answer.get("model")
    return redact(name)[:200] if isinstance(name, str) else ""
