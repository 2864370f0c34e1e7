"""Whether the Hugging Face hub can be reached: its client would retry for a minute."""

import socket
from urllib.parse import urlsplit
from urllib.request import getproxies

# Seconds until an unresponsive hub is skipped.
_PATIENCE = 5


def reach_hub() -> None:
    """Raise OSError if the hub is unreachable, or not to be asked."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise OSError("HF_HUB_OFFLINE is set")
    host = urlsplit(constants.ENDPOINT)
    if not getproxies().get(host.scheme):
        socket.create_connection((host.hostname, host.port or 443), timeout=_PATIENCE).close()


def from_hub(identifier: str, revision: str | None) -> dict[str, bool]:
    """Further arguments of `from_pretrained` for a model of the hub: without the hub, what was downloaded earlier is
    used. Raises OSError if it was not, ValueError if this cannot be its name.
    """
    import huggingface_hub

    try:
        reach_hub()
    except OSError as problem:
        if not isinstance(huggingface_hub.try_to_load_from_cache(identifier, "config.json", revision=revision), str):
            endpoint = huggingface_hub.constants.ENDPOINT
            why = problem.strerror or problem
            raise OSError(f"it is not on this machine, and {endpoint} cannot be reached ({why})") from None
        return {"local_files_only": True}
    return {}
