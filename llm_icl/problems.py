"""The central data types: Task, Problems, Answers."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llm_icl.config.files import atomic_path
from llm_icl.randomness import Source

Bits = NDArray[np.uint8]
Parameters = dict[str, NDArray[Any]]

# Incremented when the same (task card, n, seed, i) would give a different problem.
PROBLEMS_VERSION = 1

# The suffix of the name of the shuffled-label control.
SHUFFLED = " (shuffled labels)"

# Descriptive fields of a task, for readers or prompts; problems do not depend on them.
TASK_TEXTS = ("description", "definition", "algorithm", "source")

STATUSES = ("ok", "unparseable", "truncated", "refused", "too_long", "error")
# Failures of the model: scored as incorrect. Other statuses are failures of the run: the position is missing.
ANSWERED = ("ok", "unparseable", "truncated", "refused")


@dataclass(frozen=True)
class Task:
    """A named, parametrised function class with its input distribution, as described by a task card.

    `parameters` go to the function class, possibly as cases for different n. `planted` is the probability that the
    bits of a point that decide the function are overwritten (which balances the labels); `bias` is P(bit = 1) of all
    other bits; `noise` is the probability that an in-context label is flipped (scoring uses the true label);
    `teaching` is the probability that a problem begins with the teaching sequence of its function.
    """

    name: str
    function_class: str
    parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] = field(default_factory=dict)
    planted: float = 0.0
    bias: float = 0.5
    noise: float = 0.0
    drop_constant: bool = False
    teaching: float = 0.0
    description: str = ""
    definition: str = ""
    algorithm: str = ""
    source: str = ""


@dataclass(frozen=True)
class Problems:
    """N problems of one task: functions, and m labelled points each, in a fixed order.

    xs (N, m, n) and ys (N, m) are the points and their true labels; shown (N, m) are the in-context labels (they differ
    from ys only with label noise or shuffled labels). taught (N,) is the length of the teaching prefix of each problem,
    indices (N,) its index i in the endless sequence of the task's problems. drawn is the number of points that problems
    were drawn with, where only the first of them are left: only lessons that fit into these are taught.
    """

    task: Task
    n: int
    seed: int
    xs: Bits
    ys: Bits
    shown: Bits
    taught: NDArray[np.int64]
    indices: NDArray[np.int64]
    parameters: Parameters
    drawn: int = 0

    def __len__(self) -> int:
        return len(self.xs)

    @property
    def points(self) -> int:
        """Points of each problem, m."""
        return int(self.xs.shape[1])

    @cached_property
    def distances(self) -> NDArray[np.int16]:
        """Hamming distances between the points of each problem, (N, m, m)."""
        return hamming_distances(self.xs)

    @cached_property
    def seen(self) -> NDArray[np.bool_]:
        """Whether the query occurs among the earlier examples, (N, m)."""
        earlier = np.tril(np.ones((self.points, self.points), dtype=bool), k=-1)
        return ((self.distances == 0) & earlier).any(axis=-1)

    @property
    def alike(self) -> int:
        """How many problems in a row have the same examples, and only another query: 1, but after `followed_by`."""
        return len(self) // max(1, len(np.unique(self.indices)))

    def __getitem__(self, chosen: slice | NDArray[Any]) -> "Problems":
        """A subset of the problems."""
        parameters = {key: value[chosen] for key, value in self.parameters.items()}
        arrays = {key: getattr(self, key)[chosen] for key in ("xs", "ys", "shown", "taught", "indices")}
        return dataclasses.replace(self, parameters=parameters, **arrays)

    def prefix(self, points: int) -> "Problems":
        """The first points of each problem."""
        first = {key: getattr(self, key)[:, :points] for key in ("xs", "ys", "shown")}
        drawn = max(self.drawn, self.points)
        return dataclasses.replace(self, taught=np.minimum(self.taught, points), drawn=drawn, **first)

    def followed_by(self, queries: Bits) -> "Problems":
        """N·Q problems of m + 1 points: each of the queries (N, Q, n) after all points of its problem."""
        count, asked, n = queries.shape
        repeated = self[np.repeat(np.arange(count), asked)]
        unknown = np.zeros((count * asked, 1), dtype=np.uint8)
        xs = np.concatenate([repeated.xs, queries.reshape(count * asked, 1, n)], axis=1)
        ys, shown = (np.concatenate([labels, unknown], axis=1) for labels in (repeated.ys, repeated.shown))
        return dataclasses.replace(repeated, xs=xs, ys=ys, shown=shown)

    def with_shuffled_labels(self) -> "Problems":
        """The control: the in-context labels of each problem are permuted, which removes their relation to the inputs.

        One permutation per problem: a whole curve still comes from one prompt. A permutation that changes no label is
        drawn again, unless all labels are equal. True labels are unchanged.
        """
        source = Source.of(f"shuffle {self.seed}", self.indices)
        shown, again = self.shown.copy(), (self.shown != self.shown[:, :1]).any(axis=1)
        draw = 0
        while again.any():
            order = np.argsort(source.uniform(f"order {draw}" if draw else "order", self.points), axis=-1)
            shown[again] = np.take_along_axis(self.shown, order, axis=-1)[again]
            again &= (shown == self.shown).all(axis=1)
            draw += 1
        return dataclasses.replace(self, shown=shown)

    def save(self, path: Path) -> None:
        """Write an npz file atomically."""
        record = {
            "task": dataclasses.asdict(self.task),
            "n": self.n,
            "seed": self.seed,
            "problems_version": PROBLEMS_VERSION,
            "drawn": self.drawn,
        }
        arrays = {key: getattr(self, key) for key in ("xs", "ys", "shown", "taught", "indices")}
        arrays |= {f"parameter_{key}": value for key, value in self.parameters.items()}
        with atomic_path(path) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, record=np.array(json.dumps(record)), **arrays)

    @classmethod
    def load(cls, path: Path) -> "Problems":
        """Read what `save` wrote."""
        with np.load(path) as file:
            record = json.loads(str(file["record"]))
            arrays = {key: file[key] for key in ("xs", "ys", "shown", "taught", "indices")}
            parameters = {k.removeprefix("parameter_"): file[k] for k in file.files if k.startswith("parameter_")}
        about = record["n"], record["seed"]
        return cls(Task(**record["task"]), *about, parameters=parameters, drawn=record.get("drawn", 0), **arrays)


def hamming_distances(xs: Bits, examples: Bits | None = None) -> NDArray[np.int16]:
    """Hamming distances between points xs (N, P, n) and examples (N, m, n) of each problem, (N, P, m).

    Without examples: between the points themselves.
    """
    signs = xs.astype(np.float32) - np.float32(0.5)  # (N, P, n)
    others = signs if examples is None else examples.astype(np.float32) - np.float32(0.5)
    distances = signs @ others.transpose(0, 2, 1)  # (N, P, m): n/4 if all bits agree, -n/4 if none does
    distances *= -2
    distances += np.float32(xs.shape[-1] / 2)
    return distances.astype(np.int16)


@dataclass(frozen=True)
class Answers:
    """The answers of one learner at P positions of N problems.

    probability (N, P) is P(y = 1), NaN if only an answer is known; prediction (N, P) is 0 or 1, and -1 without a usable
    answer; status (N, P) holds indices into STATUSES; agreement (N, P), for repeated calls, is the fraction of usable
    answers that equal the prediction; mass (N, P), for language models, is the probability of both labels together
    among all tokens, NaN if it is unknown.
    """

    probability: NDArray[np.float64]
    prediction: NDArray[np.int8]
    status: NDArray[np.uint8]
    agreement: NDArray[np.float64] | None = None
    mass: NDArray[np.float64] | None = None

    @classmethod
    def from_probability(cls, probability: NDArray[np.float64]) -> "Answers":
        """Answer 1 if P(y = 1) > 0.5, else 0; ties are answered 0."""
        return cls(probability, (probability > 0.5).astype(np.int8), np.zeros(probability.shape, dtype=np.uint8))

    @classmethod
    def from_prediction(cls, prediction: NDArray[Any]) -> "Answers":
        """Answers without probabilities."""
        shape = prediction.shape
        return cls(np.full(shape, np.nan), prediction.astype(np.int8), np.zeros(shape, dtype=np.uint8))

    def in_a_column(self) -> "Answers":
        """The same answers (N·P, 1), those of one problem in a row."""
        return Answers(self.probability.reshape(-1, 1), self.prediction.reshape(-1, 1), self.status.reshape(-1, 1))

    def at(self, positions: NDArray[np.int64]) -> "Answers":
        """The answers at some positions, (N, P)."""
        return Answers(self.probability[:, positions], self.prediction[:, positions], self.status[:, positions])
