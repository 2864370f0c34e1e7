"""Random numbers that depend only on their purpose and index.

A counter-based generator (Philox4x32-10: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") makes
every number a function of (identity, purpose, problem, attempt, row, column). So problem i is independent of the number
of problems, of points and of the order of calls, and a whole batch is drawn at once.
"""

import hashlib
import math
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


def philox(counter: tuple[NDArray[np.uint64], ...], key: tuple[int, int]) -> NDArray[np.uint32]:
    """Philox4x32-10 of four broadcast counter words; returns their common shape with a last axis of 4 words."""
    c0, c1, c2, c3 = (word.copy() for word in np.broadcast_arrays(*counter))
    k0, k1 = key
    for _ in range(_ROUNDS):  # in place: c0, c1, c2, c3 = high(second) ^ c1 ^ k0, low(second), high(first) ^ c3 ^ k1, …
        first, second = np.multiply(c0, _MULTIPLIERS[0], out=c0), np.multiply(c2, _MULTIPLIERS[1], out=c2)
        c1 ^= np.uint64(k0)
        c1 ^= second >> _HALF
        c3 ^= np.uint64(k1)
        c3 ^= first >> _HALF
        second &= _LOW
        first &= _LOW
        c0, c1, c2, c3 = c1, second, c3, first
        k0, k1 = (k0 + _KEY_STEPS[0]) & 0xFFFFFFFF, (k1 + _KEY_STEPS[1]) & 0xFFFFFFFF
    words = np.empty((*c0.shape, 4), dtype=np.uint32)
    for place, word in enumerate((c0, c1, c2, c3)):
        words[..., place] = word
    return words


@dataclass(frozen=True)
class Source:
    """The random numbers of a batch of N problems.

    Every method takes a purpose (numbers for different purposes are independent) and a shape, and returns an
    array (N, *shape). A longer first axis adds numbers and leaves the others as they are. An attempt above 0 gives
    fresh numbers to a problem whose function is drawn again.
    """

    key: tuple[int, int]
    problems: NDArray[np.uint64]
    attempts: NDArray[np.uint64]

    @classmethod
    def of(cls, identity: str, problems: Sequence[int] | NDArray[np.int64]) -> "Source":
        """The numbers of these problems; other identities have independent ones."""
        digest = hashlib.sha256(identity.encode()).digest()
        indices = np.asarray(problems, dtype=np.uint64)
        key = (int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:8], "little"))
        return cls(key, indices, np.zeros_like(indices))

    def again(self, chosen: NDArray[np.bool_]) -> "Source":
        """The next attempt of the chosen problems."""
        return Source(self.key, self.problems[chosen], self.attempts[chosen] + np.uint64(1))

    def words(self, purpose: str, *shape: int) -> Words:
        """Uniform 32-bit words, from which the others are made."""
        size = math.prod(shape)
        counter = (
            self.problems[:, None],
            self.attempts[:, None],
            np.arange((size + 3) // 4, dtype=np.uint64)[None, :],
            np.full((1, 1), zlib.crc32(purpose.encode()), dtype=np.uint64),
        )
        words = philox(counter, self.key)
        count, blocks, _ = words.shape
        return words.reshape(count, 4 * blocks)[:, :size].reshape(count, *shape)

    def uniform(self, purpose: str, *shape: int) -> Floats:
        """Uniform on (0, 1), in steps of 2^-32."""
        return (self.words(purpose, *shape).astype(np.float64) + 0.5) * 2.0**-32

    def coins(self, purpose: str, *shape: int) -> NDArray[np.uint8]:
        """Fair bits: 32 from each word."""
        size = math.prod(shape)
        words = self.words(purpose, (size + 31) // 32).astype("<u4")
        bits = np.unpackbits(words.view(np.uint8), axis=-1, count=size, bitorder="little")
        return bits.reshape(len(self.problems), *shape)

    def integers(self, purpose: str, low: int, high: int, *shape: int) -> NDArray[np.int64]:
        """Uniform on low, low + 1, …, high (both included)."""
        return low + np.floor(self.uniform(purpose, *shape) * (high - low + 1)).astype(np.int64)

    def normal(self, purpose: str, *shape: int) -> Floats:
        """Standard normal (Box and Muller 1958)."""
        radius = np.sqrt(-2.0 * np.log(self.uniform(f"{purpose}/radius", *shape)))
        return radius * np.cos(2.0 * np.pi * self.uniform(f"{purpose}/angle", *shape))

    def subset(self, purpose: str, size: int, n: int) -> NDArray[np.bool_]:
        """A uniformly drawn subset of `size` among n, as a mask (N, n)."""
        ranks = np.argsort(np.argsort(self.uniform(purpose, n), axis=-1, kind="stable"), axis=-1)
        return ranks < size
