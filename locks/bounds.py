"""The oldest versions that pyproject.toml allows, one a line; `make lock` freezes what they make together."""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement


def lower_bounds() -> dict[str, str]:
    """The oldest version that is allowed of each direct dependency."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    bounds = {}
    for requirement in map(Requirement, project["dependencies"]):
        bounds[requirement.name] = next(one.version for one in requirement.specifier if one.operator == ">=")
    return bounds


if __name__ == "__main__":
    print("\n".join(f"{name}=={version}" for name, version in lower_bounds().items()))
