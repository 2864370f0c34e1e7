"""User-defined functions: a formula such as `(x1 & ~x3) | x7`, or a truth table."""

import ast
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from llm_icl.errors import RequestError
from llm_icl.function_classes.base import FunctionClass, Hypotheses, Mask, all_inputs, function_classes
from llm_icl.problems import Bits, Parameters
from llm_icl.randomness import Source

# The maximum n for listing a function's values to check whether it is constant.
_MAX_LISTED = 20
# Longer formulas could exceed the parser's recursion limit.
_MAX_LENGTH = 2000

_OPERATORS: dict[type[ast.AST], Callable[[Bits, Bits], Bits]] = {
    ast.BitAnd: np.bitwise_and,
    ast.And: np.bitwise_and,
    ast.BitOr: np.bitwise_or,
    ast.Or: np.bitwise_or,
    ast.BitXor: np.bitwise_xor,
}


@dataclass(frozen=True)
class OwnFunction(FunctionClass):
    """A class of one function. Exact Bayes knows it a priori and is always correct."""

    def draw(self, source: Source, n: int) -> Parameters:
        return {"width": np.full(len(source.problems), n)}

    def is_constant(self, parameters: Parameters) -> Mask:
        width = parameters["width"]
        n = int(width[0]) if len(width) else 1
        if n > _MAX_LISTED:
            raise RequestError(
                f"checking whether a formula is constant is limited to n = {_MAX_LISTED}: set drop-constant=false"
            )
        values = self.evaluate({"width": width[:1]}, all_inputs(n)[None])
        return np.full(len(width), (values == values[0, 0]).all())

    def count(self, n: int) -> float:
        return 1

    def hypotheses(self, n: int) -> Hypotheses:
        return Hypotheses({"width": np.array([n])}, np.ones(1))


@function_classes.register("expression")
@dataclass(frozen=True)
class Expression(OwnFunction):
    """A formula over x1 … xn with & | ^ ~ (or: and, or, not), 0, 1 and parentheses."""

    text: str

    def check(self, n: int) -> None:
        super().check(n)
        for node in ast.walk(self._tree()):
            if isinstance(node, ast.Name) and _variable(node.id) > n:
                raise RequestError(f"'{self.text}' uses {node.id}, but n = {n}")
        try:
            self.evaluate({}, np.zeros((1, 1, n), dtype=np.uint8))
        except RecursionError:
            raise RequestError("the formula is nested too deeply") from None

    def evaluate(self, parameters: Parameters, xs: Bits) -> Bits:
        return np.broadcast_to(_value(self._tree(), xs), xs.shape[:-1]).astype(np.uint8)

    def _tree(self) -> ast.AST:
        text = str(self.text)
        if len(text) > _MAX_LENGTH:
            raise RequestError(f"a formula of {len(text)} characters is too long: at most {_MAX_LENGTH}")
        try:
            tree = ast.parse(text, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as problem:
            offset = getattr(problem, "offset", None)
            at = f" at character {offset}" if offset else ""
            raise RequestError(f"'{text}' is not a formula{at}: {getattr(problem, 'msg', problem)}") from None
        for node in ast.walk(tree):
            _check_node(node, text)
        return tree


@function_classes.register("truth-table")
@dataclass(frozen=True)
class TruthTable(OwnFunction):
    """2^n labels, in the order of the inputs read as binary numbers with x1 the most significant bit."""

    text: str

    def check(self, n: int) -> None:
        super().check(n)
        text = str(self.text)
        if n > _MAX_LISTED:
            raise RequestError(f"truth tables are limited to n = {_MAX_LISTED}")
        if set(text) - {"0", "1"} or len(text) != 2**n:
            raise RequestError(f"a truth table for n = {n} must be {2**n} characters 0 or 1, not '{text}'")

    def evaluate(self, parameters: Parameters, xs: Bits) -> Bits:
        n = xs.shape[-1]
        number = (xs.astype(np.int64) << np.arange(n - 1, -1, -1)).sum(axis=-1)
        return np.array([int(label) for label in str(self.text)], dtype=np.uint8)[number]


def _variable(name: str) -> int:
    """The index of a variable, 0 for other names."""
    return int(name[1:]) if name[:1] in ("x", "X") and name[1:].isdecimal() else 0


def _check_node(node: ast.AST, text: str) -> None:
    allowed = (ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Name, ast.Constant, ast.Load, ast.Invert, ast.Not, *_OPERATORS)
    if not isinstance(node, allowed):
        raise RequestError(f"'{text}' is not a formula: {type(node).__name__} is not one of & | ^ ~ and parentheses")
    if isinstance(node, ast.Name) and _variable(node.id) < 1:
        raise RequestError(f"'{text}' is not a formula: '{node.id}' is not one of x1, x2, …")
    if isinstance(node, ast.Constant) and node.value not in (0, 1):
        raise RequestError(f"'{text}' is not a formula: {node.value!r} is not 0 or 1")


def _value(node: ast.AST, xs: Bits) -> Bits:
    if isinstance(node, ast.Name):
        return xs[..., _variable(node.id) - 1]
    if isinstance(node, ast.Constant):
        return np.full(xs.shape[:-1], int(node.value), dtype=np.uint8)  # type: ignore[arg-type]
    if isinstance(node, ast.UnaryOp):
        return 1 - _value(node.operand, xs)
    if isinstance(node, ast.BinOp):
        return _OPERATORS[type(node.op)](_value(node.left, xs), _value(node.right, xs))
    assert isinstance(node, ast.BoolOp)
    value = _value(node.values[0], xs)
    for operand in node.values[1:]:
        value = _OPERATORS[type(node.op)](value, _value(operand, xs))
    return value
