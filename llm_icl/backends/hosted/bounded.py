"""HTTP clients that read replies of bounded size: a broken server may send without end, or compress terabytes."""

from typing import Any

# Bytes of a reply, above the results of the largest batch; and of one that came compressed, which can be a thousand
# times as long.
LONGEST, LONGEST_COMPRESSED = 2**30, 2**20


class ReplyTooLargeError(Exception):
    """A reply that is longer than any answer."""


def bounded_client(sdk: Any) -> Any:
    """An HTTP client for an SDK (openai, anthropic). It follows no redirect, since a key must not go to another server,
    asks for no compression, and uses less CPU time than the SDK's default.
    """
    return sdk.DefaultAioHttpClient(
        follow_redirects=False, headers={"accept-encoding": "identity"}, event_hooks={"response": [_bound]}
    )


def text_of(response: Any) -> str:
    """The text of a reply. JSON is UTF-8 whatever its header says; other texts are what that says, if they can be."""
    content: bytes = response.content
    try:
        return content.decode()
    except UnicodeDecodeError:
        pass
    try:
        return str(response.text)
    except (UnicodeError, LookupError):
        return content.decode(errors="replace")


async def _bound(response: Any) -> None:
    """Called with the headers of a reply, before its content is read."""
    import httpx2

    codings = [one.strip().lower() for one in response.headers.get("content-encoding", "").split(",")]
    compressed = [one for one in codings if one not in ("", "identity")]
    if len(compressed) > 1:  # each a thousand times
        raise ReplyTooLargeError("a reply that is compressed several times")
    most = LONGEST_COMPRESSED if compressed else LONGEST
    stream = response.stream

    class Bounded(httpx2.AsyncByteStream):
        async def __aiter__(self) -> Any:
            read = 0
            async for chunk in stream:
                read += len(chunk)
                if read > most:
                    raise ReplyTooLargeError(f"a reply of more than {most / 2**20:,.0f} MiB")
                yield chunk

        async def aclose(self) -> None:
            await stream.aclose()

    response.stream = Bounded()
