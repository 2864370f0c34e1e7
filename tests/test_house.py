"""Arrows point one way: what a room of llm_icl imports stands on a lower floor, and there are no circles."""

import ast
import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[1]


def _load():
    specification = importlib.util.spec_from_file_location("house", ROOT / "docs" / "design" / "house.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


house = _load()
FLOOR = {room: floor for floor, rooms in enumerate(house.FLOORS) for room in rooms}


def test_every_room_has_its_floor():
    rooms = {house.room_of(module) for module in house.modules()}
    assert rooms == set(FLOOR)


def test_no_arrow_points_up():
    up = [(a, b) for a, b in house.arrows() if FLOOR[b] < FLOOR[a]]
    assert up == []


def test_there_are_no_circles_between_rooms_nor_between_modules():
    rooms = {room: {b for a, b in house.arrows() if a == room} for room in FLOOR}
    assert house.circles(rooms) == []
    assert house.circles(house.imports()) == []


def test_circles_are_found_where_there_are_some():
    assert house.circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [["b", "c"]]


def test_no_kind_of_experiment_imports_another():
    kinds = {path.name for path in (ROOT / "llm_icl" / "experiments").iterdir() if path.is_dir()} - {"__pycache__"}
    for module, targets in house.imports().items():
        own = module.split(".")
        if own[1:2] == ["experiments"] and own[2:3] and own[2] in kinds:
            others = {target for target in targets if target.split(".")[1:2] == ["experiments"]}
            foreign = {
                target for target in others if target.split(".")[2:3] and target.split(".")[2] in kinds - {own[2]}
            }
            assert not foreign, (module, foreign)


def test_at_most_six_modules_stand_at_the_root():
    assert len(list((ROOT / "llm_icl").glob("*.py"))) <= 6


def test_the_networks_know_nothing_of_the_rest():
    for file in (ROOT / "local_models").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not any(name.split(".")[0] == "llm_icl" for name in names), file


def test_the_picture_is_of_the_house_as_it_is():
    assert (ROOT / "docs" / "design" / "house.svg").read_text(encoding="utf-8") == house.drawing()
