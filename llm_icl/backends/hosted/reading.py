"""What OpenAI's three interfaces reply, and servers that speak them."""

from collections.abc import Mapping
from typing import Any

from llm_icl.backends.exchange import EchoRequest, Request, TopRequest
from llm_icl.backends.hosted.logprobs import NoLogprobsError, tokens_of, top_of_answer, top_of_echo

# Where chats put the model's reasoning.
_THOUGHTS = ("reasoning_content", "reasoning", "thinking")


def read_choice(request: Request, choice: Mapping[str, Any], greedy: bool) -> dict[str, Any]:
    """The members of a reply, from a chat's choice or a completion's. With `greedy` decoding the likeliest token is
    written.
    """
    members: dict[str, Any] = {"truncated": choice.get("finish_reason") == "length"}
    if isinstance(request, EchoRequest):
        try:
            return members | {"tops": top_of_echo(request, choice.get("logprobs"))}
        except NoLogprobsError as reason:
            return members | {"tops": [None] * len(request.ends), "absent": str(reason)}
    message = choice["message"] if "message" in choice else {"content": choice["text"]}
    text, thought = _content(message)
    refusal = message.get("refusal")
    if refusal or choice.get("finish_reason") == "content_filter":
        return members | {"status": "refused", "text": refusal or text or ""}
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


def _content(message: Mapping[str, Any]) -> tuple[str | None, str]:
    """The written text, None if there is none, and the reasoning that was sent apart from it."""
    content = message.get("content")
    thought = next((text for key in _THOUGHTS if isinstance(text := message.get(key), str) and text.strip()), "")
    if isinstance(content, list):
        parts = [part for part in content if isinstance(part, Mapping)]
        thought = thought or " ".join(str(part["thinking"]) for part in parts if "thinking" in part)
        return "".join(str(part["text"]) for part in parts if isinstance(part.get("text"), str)), thought
    if content is not None and not isinstance(content, str):
        raise TypeError(f"content of the type {type(content).__name__}")
    return content, thought


def read_response(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a reply, from the Responses interface."""
    parts = [part for item in answer["output"] if item["type"] == "message" for part in item["content"]]
    text = "".join(part["text"] for part in parts if part["type"] == "output_text")
    refusals = [part["refusal"] for part in parts if part["type"] == "refusal"]
    cut = (answer.get("incomplete_details") or {}).get("reason")
    if refusals or cut == "content_filter":
        return {"status": "refused", "text": "".join(refusals) or text, "truncated": False}
    if answer.get("status") not in ("completed", "incomplete"):
        raise KeyError(f"status {answer.get('status')}")
    return {"text": text, "truncated": cut == "max_output_tokens"}


def usage_of(usage: Mapping[str, Any]) -> dict[str, int]:
    """Billed tokens: plain input, input from the provider's cache and into it, output with its reasoning."""
    whole = usage.get("prompt_tokens", usage.get("input_tokens")) or 0
    inside = usage.get("prompt_tokens_details") or usage.get("input_tokens_details") or {}
    outside = usage.get("completion_tokens_details") or usage.get("output_tokens_details") or {}
    cached, write = inside.get("cached_tokens") or 0, inside.get("cache_write_tokens") or 0
    return {
        "input": whole - cached - write,
        "cached": cached,
        "write": write,
        "output": usage.get("completion_tokens", usage.get("output_tokens", 0)) or 0,
        "reasoning": outside.get("reasoning_tokens") or 0,
    }
