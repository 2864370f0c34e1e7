"""Random numbers that depend on what they are for and on nothing else.

A counter-based generator (Philox4x32-10: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") makes
every number a function of (identity, purpose, problem, attempt, row, column). So problem i is the same whatever the
number of problems, points or the order of calls, and a whole batch is drawn at once.
"""

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]
Floats = NDArray[np.float64]

_ROUNDS = 10
_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_ATTEMPT_SHIFT = 20  # columns take the lower bits of a counter word, attempts the upper


def philox(counter: tuple[NDArray[np.uint64], ...], key: tuple[int, int]) -> NDArray[np.uint32]:
    """Philox4x32-10 of four broadcast counter words; returns their common shape with a last axis of 4 words."""
    c0, c1, c2, c3 = np.broadcast_arrays(*counter)
    k0, k1 = key
    for _ in range(_ROUNDS):
        first, second = _MULTIPLIERS[0] * c0, _MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (
            (second >> _HALF) ^ c1 ^ np.uint64(k0),
            second & _LOW,
            (first >> _HALF) ^ c3 ^ np.uint64(k1),
            first & _LOW,
        )
        k0, k1 = (k0 + _KEY_STEPS[0]) & 0xFFFFFFFF, (k1 + _KEY_STEPS[1]) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=-1).astype(np.uint32)


@dataclass(frozen=True)
class Source:
    """The random numbers of a batch of N problems.

    Every method takes the purpose of the numbers (numbers of two purposes are independent) and a shape of one or two
    axes, (columns) or (rows, columns), and returns an array [N, *shape]. An attempt above 0 gives fresh numbers to a
    problem whose function is drawn again.
    """

    key: tuple[int, int]
    problems: NDArray[np.uint64]
    attempts: NDArray[np.uint64]

    @classmethod
    def of(cls, identity: str, problems: Sequence[int] | NDArray[np.int64]) -> "Source":
        digest = hashlib.sha256(identity.encode()).digest()
        indices = np.asarray(problems, dtype=np.uint64)
        key = (int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:8], "little"))
        return cls(key, indices, np.zeros_like(indices))

    def again(self, chosen: NDArray[np.bool_]) -> "Source":
        """The next attempt of the chosen problems."""
        return Source(self.key, self.problems[chosen], self.attempts[chosen] + np.uint64(1))

    def words(self, purpose: str, *shape: int) -> Words:
        rows, columns = shape if len(shape) == 2 else (1, *shape)
        block = np.arange((columns + 3) // 4, dtype=np.uint64)
        counter = (
            self.problems[:, None, None],
            np.arange(rows, dtype=np.uint64)[None, :, None],
            block[None, None, :] + (self.attempts << np.uint64(_ATTEMPT_SHIFT))[:, None, None],
            np.full((1, 1, 1), zlib.crc32(purpose.encode()), dtype=np.uint64),
        )
        words = philox(counter, self.key).reshape(len(self.problems), rows, -1)[..., :columns]
        return words.reshape(len(self.problems), *shape)

    def uniform(self, purpose: str, *shape: int) -> Floats:
        """Uniform on (0, 1), in steps of 2^-32."""
        return (self.words(purpose, *shape).astype(np.float64) + 0.5) * 2.0**-32

    def integers(self, purpose: str, low: int, high: int, *shape: int) -> NDArray[np.int64]:
        """Uniform on low, low + 1, …, high (both included)."""
        return low + np.floor(self.uniform(purpose, *shape) * (high - low + 1)).astype(np.int64)

    def normal(self, purpose: str, *shape: int) -> Floats:
        """Standard normal (Box and Muller 1958)."""
        radius = np.sqrt(-2.0 * np.log(self.uniform(f"{purpose}/radius", *shape)))
        return radius * np.cos(2.0 * np.pi * self.uniform(f"{purpose}/angle", *shape))

    def subset(self, purpose: str, size: int, n: int) -> NDArray[np.bool_]:
        """A uniformly drawn subset of `size` among n, as a mask [N, n]."""
        ranks = np.argsort(np.argsort(self.uniform(purpose, n), axis=-1, kind="stable"), axis=-1)
        return ranks < size
