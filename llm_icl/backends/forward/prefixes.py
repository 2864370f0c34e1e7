"""Keys and values of prefixes that prompts share, computed once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from local_models.kv_cache import forked

# The minimum fraction of a sequence worth caching: attention to cached keys needs a mask, which made
# a pass 7 to 46 % slower where 6 % was shared.
WORTH_SHARING = 0.2


@dataclass(frozen=True)
class Prefix:
    tokens: tuple[int, ...]
    cache: Any


class Prefixes:
    """The last prefix, and the start that it has in common with the one before: the instructions, which all prompts
    share, and the examples behind them, which all queries of one context share.

    `extend(tokens, cache)` is a forward pass that returns the cache, or a new one for None, extended by the tokens;
    `continues(m, n)` says whether m tokens are encoded as the first m of n.
    """

    def __init__(self, extend: Callable[[Sequence[int], Any], Any], continues: Callable[[int, int], bool]) -> None:
        self._extend, self._continues = extend, continues
        self._start: Prefix | None = None
        self.last: Prefix | None = None

    def cache_of(self, tokens: Sequence[int]) -> Any:
        """The cache of these tokens, which must not be changed."""
        wanted = tuple(tokens)
        if self.last is None or self.last.tokens != wanted:
            start = self._start_of(wanted)
            cache = forked(start.cache, 1) if start else None
            self.last = Prefix(wanted, self._extend(wanted[len(start.tokens) if start else 0 :], cache))
        return self.last.cache

    def _start_of(self, wanted: tuple[int, ...]) -> Prefix | None:
        """The start of a prefix that is worth keeping, if there is one."""
        start = self._start
        if start and wanted[: len(start.tokens)] == start.tokens and self._pays(len(start.tokens), wanted):
            return start
        if self.last is None:
            return None
        pairs = zip(wanted[:-1], self.last.tokens, strict=False)
        common = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(wanted) - 1, len(self.last.tokens)))
        if not self._pays(common, wanted):
            return None
        self._start = Prefix(wanted[:common], self._extend(wanted[:common], None))
        return self._start

    def _pays(self, count: int, wanted: tuple[int, ...]) -> bool:
        return WORTH_SHARING * len(wanted) <= count < len(wanted) and self._continues(count, len(wanted))
