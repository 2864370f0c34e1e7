"""Subjects of several runs that have one name, and are not the same."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any


def namesakes(requests: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """The language models, networks and files of answers that are another one in another of these requests: of another
    server, with other weights or answers, or asked with another text under a prompt's name.
    """
    known: dict[str, set[str]] = defaultdict(set)
    texts: dict[str, set[str]] = defaultdict(set)
    asked: dict[str, set[str]] = defaultdict(set)
    for request in requests:
        for one in (*request["models"], *request["trained"], *request.get("answers", ())):
            known[one["name"]].add(json.dumps(one, sort_keys=True))
        for prompt in request["prompts"]:
            texts[prompt["name"]].add(prompt["template"])
            asked[prompt["name"]] |= {one["name"] for one in request["models"]}
    several = {name for name, some in known.items() if len(some) > 1}
    return frozenset(several.union(*(asked[prompt] for prompt, some in texts.items() if len(some) > 1)))
