"""The architectures of networks, with errors for whoever named or installed one."""

from llm_icl.errors import RequestError
from local_models import architectures as local
from local_models.architectures import Architecture


def architectures() -> dict[str, Architecture]:
    """All architectures, by name. Raises RequestError if those of another distribution cannot be loaded."""
    try:
        return local.architectures()
    except ValueError as problem:
        raise RequestError(str(problem)) from None
