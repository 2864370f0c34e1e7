"""The packages of llm_icl and what each imports, read from the sources: `python docs/design/house.py` draws them.

A room is a module or a package directly below llm_icl. Imports count wherever they stand: inside functions, and under
TYPE_CHECKING, they are arrows too.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).parents[2]
PACKAGE = "llm_icl"

# What may import what: a room may import those on lower floors, and on its own.
FLOORS = (
    ("cli", "api"),
    ("suites",),
    ("experiments", "harnesses"),
    ("asking", "networks", "reports"),
    ("backends", "tasks", "learners"),
    ("prompting", "function_classes", "analysis"),
    ("problems", "predictions", "runs"),
    ("config", "randomness", "progress", "errors"),
)


@cache
def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name. The package itself is the door: it holds the version, and imports
    the API only when somebody asks for it.
    """
    files = sorted((ROOT / PACKAGE).rglob("*.py"))
    names = {".".join(file.relative_to(ROOT).with_suffix("").parts): file for file in files}
    return {name.removesuffix(".__init__"): file for name, file in names.items() if name != f"{PACKAGE}.__init__"}


@cache
def imports() -> dict[str, set[str]]:
    """The modules of the package that each of them imports."""
    known = modules()
    found = {}
    for name, file in known.items():
        targets = set(_named(ast.parse(file.read_text(encoding="utf-8")), known))
        found[name] = targets - {name}
    return found


def _named(tree: ast.Module, known: dict[str, Path]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module in known:
            inside = {f"{node.module}.{alias.name}" for alias in node.names} & set(known)
            yield from inside or {node.module}


def room_of(module: str) -> str:
    """llm_icl.asking.plan → asking."""
    return module.split(".")[1]


def arrows() -> dict[tuple[str, str], int]:
    """How many imports lead from one room to another."""
    counts: dict[tuple[str, str], int] = {}
    for module, targets in imports().items():
        for target in targets:
            pair = room_of(module), room_of(target)
            if pair[0] != pair[1]:
                counts[pair] = counts.get(pair, 0) + 1
    return counts


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The groups of more than one node that reach one another (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph.get(node, ())):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                found.append(group)

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def drawing() -> str:
    """An SVG: floors from the command line down to the ground, a box a room, a line for each pair that imports."""
    width, box, height, gap = 960, 150, 36, 84
    places = {}
    for floor, rooms in enumerate(FLOORS):
        for i, room in enumerate(rooms):
            places[room] = width * (i + 1) / (len(rooms) + 1), 40 + gap * floor
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {gap * len(FLOORS) + 20}" '
        'font-family="system-ui, sans-serif" role="img">',
        "<title>The packages of llm_icl: what is higher imports what is lower</title>",
        f'<rect width="{width}" height="{gap * len(FLOORS) + 20}" fill="#ffffff"/>',
    ]
    for start, end in sorted(arrows()):
        (x1, y1), (x2, y2) = places[start], places[end]
        y1, y2 = y1 + height / 2, y2 - height / 2
        middle = (y1 + y2) / 2
        parts.append(
            f'<path d="M{x1:.0f} {y1:.0f} C{x1:.0f} {middle:.0f} {x2:.0f} {middle:.0f} {x2:.0f} {y2:.0f}" fill="none" '
            'stroke="#0072B2" stroke-opacity="0.4" stroke-width="1.5"/>'
        )
    for room, (x, y) in places.items():
        parts.append(
            f'<rect x="{x - box / 2:.0f}" y="{y - height / 2:.0f}" width="{box}" height="{height}" rx="6" '
            'fill="#f5f6f8" stroke="#5b626b"/>'
            f'<text x="{x:.0f}" y="{y + 5:.0f}" text-anchor="middle" font-size="15">{escape(room)}</text>'
        )
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    target = Path(__file__).with_name("house.svg")
    target.write_text(drawing(), encoding="utf-8")
    print(target.relative_to(ROOT))
