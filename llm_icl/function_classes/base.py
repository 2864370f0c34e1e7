"""The base class of function classes."""

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from llm_icl.config.registry import Registry
from llm_icl.config.specs import make
from llm_icl.errors import RequestError
from llm_icl.problems import Bits, Parameters, Problems, Task
from llm_icl.randomness import Source

MAX_N = 1000
Mask = NDArray[np.bool_]
T = TypeVar("T", bound=np.generic)


class Hypotheses(NamedTuple):
    """All H functions of a class at one n, with their prior probabilities (H,)."""

    parameters: Parameters
    prior: NDArray[np.float64]


class TeachingSequence(NamedTuple):
    """For each of F functions the points xs (F, t, n) that identify it, of which the first lengths (F,) are used."""

    xs: Bits
    lengths: NDArray[np.int64]


class Planting(NamedTuple):
    """The bits that planting overwrites, mask (F, n), and their values (F, n)."""

    mask: Mask
    values: Bits


@dataclass(frozen=True)
class FunctionClass(ABC):
    """A set of functions {0,1}^n → {0,1} with a distribution.

    The parameters of F functions are a dictionary of arrays whose first axis is F. Points are bits: 1 is the true
    value (+1 in the papers), 0 the false one (-1). Fields of a subclass are the options that its task cards may set.
    """

    # Why a class has no teaching sequence; part of the error message.
    no_teaching: ClassVar[str] = "none is implemented"

    def check(self, n: int) -> None:
        """Raise RequestError if the class is not defined at this n."""
        if not 1 <= n <= MAX_N:
            raise RequestError(f"n = {n} is out of range: 1 to {MAX_N}")

    @abstractmethod
    def draw(self, source: Source, n: int) -> Parameters:
        """The parameters of one function for each problem of the source."""

    @abstractmethod
    def evaluate(self, parameters: Parameters, xs: Bits) -> Bits:
        """The labels (F, m) of the points xs (F, m, n); a first axis of length 1 broadcasts."""

    @abstractmethod
    def is_constant(self, parameters: Parameters) -> Mask:
        """Whether each function is constant, (F,)."""

    def labels(self, source: Source, parameters: Parameters, xs: Bits) -> Bits:
        """The true labels of a sequence of points; differs from `evaluate` only if labels depend on the order."""
        return self.evaluate(parameters, xs)

    def planting(self, parameters: Parameters) -> Planting:
        """What a planted point overwrites. Raises RequestError where nothing decides a function."""
        raise RequestError("this function class does not support planting: omit 'planted'")

    def teaching_sequence(self, parameters: Parameters) -> TeachingSequence:
        """Points that, labelled by the function, are consistent with no other function of the class."""
        raise RequestError(f"teaching sequences are not available for this class: {self.no_teaching}")

    def count(self, n: int) -> float:
        """The number of functions that `hypotheses` lists; infinite if they cannot be listed."""
        return float("inf")

    def hypotheses(self, n: int) -> Hypotheses:
        """Every function with its prior. Different parameters may describe the same function."""
        raise RequestError(f"{type(self).__name__} cannot be enumerated")

    def has_closed_form(self, task: Task, n: int) -> bool:
        """Whether `closed_form` is available, and preferable to enumeration."""
        return False

    def closed_form(self, problems: Problems, knows_inputs: bool) -> NDArray[np.float64]:
        """The exact posterior predictive P(y_k = 1 | x_0, y_0, …, x_k), (N, m); NaN after impossible examples."""
        raise RequestError(f"{type(self).__name__} has no closed form")

    def closed_form_at(self, problems: Problems, queries: Bits, knows_inputs: bool) -> NDArray[np.float64]:
        """The same at queries (N, Q, n) after all m points of each problem, (N, Q)."""
        return self.closed_form(problems.followed_by(queries), knows_inputs)[:, -1].reshape(queries.shape[:2])


def undefined_after(impossible: Mask, probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """The probabilities (N, m), NaN at all positions after an example that is impossible (N, m)."""
    before = np.logical_or.accumulate(impossible, axis=-1)[:, :-1]
    return np.where(np.pad(before, ((0, 0), (1, 0))), np.nan, probability)


def power(base: int, exponent: int) -> float:
    """base^exponent, infinite on overflow."""
    try:
        return float(base) ** exponent
    except OverflowError:
        return float("inf")


def binomial(n: int, k: int) -> float:
    """The number of subsets of k among n, infinite on overflow."""
    try:
        return float(math.comb(n, k))
    except OverflowError:
        return float("inf")


function_classes: Registry[type[FunctionClass]] = Registry("function class", "llm_icl.function_classes")


def grid(values: NDArray[T], width: int) -> NDArray[T]:
    """All len(values)^width rows of `width` values, (H, width); the first column changes slowest."""
    base = len(values)
    digits = np.arange(base**width)[:, None] // base ** np.arange(width - 1, -1, -1)[None, :] % base
    return values[digits]


def all_inputs(n: int) -> Bits:
    """The 2^n inputs, (2^n, n), as binary numbers with x1 the most significant bit."""
    return grid(np.array([0, 1], dtype=np.int8), n).astype(np.uint8)


def subsets(n: int, size: int) -> Mask:
    """All subsets of `size` among n, as masks (H, n)."""
    chosen = np.array(list(itertools.combinations(range(n), size)))
    masks = np.zeros((len(chosen), n), dtype=bool)
    np.put_along_axis(masks, chosen, True, axis=1)
    return masks


def closed_up(rows: Bits, lengths: NDArray[np.int64]) -> TeachingSequence:
    """A teaching sequence from rows (F, t, n), where unused rows are 255: used rows are moved to the front."""
    used = (rows != 255).all(axis=-1)  # (F, t)
    order = np.argsort(~used, axis=-1, kind="stable")
    return TeachingSequence(np.take_along_axis(rows, order[..., None], axis=1), lengths)


def function_class_of(task: Task, n: int) -> FunctionClass:
    """The function class of a task at dimension n.

    A card may give its parameters as a list of cases, the last without a bound: `[{up-to: 7, …}, {…}]`.
    Raises RequestError for an invalid option or n.
    """
    function_class = make("task", task.name, function_classes.get(task.function_class), _case(task, n))
    function_class.check(n)
    return function_class


def _case(task: Task, n: int) -> Mapping[str, Any]:
    if isinstance(task.parameters, Mapping):
        return task.parameters
    for case in task.parameters:
        if n <= case.get("up-to", n):
            return {key: value for key, value in case.items() if key != "up-to"}
    raise RequestError(f"task '{task.name}' has no parameters for n = {n}")
