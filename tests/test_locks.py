"""The locks name every package that the targets install, and the environment of the tests is the locked one."""

import re
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
# What comes with an environment, and this package.
_OWN = {"pip", "llm-icl"}
# What a build of torch for a GPU asks for, which differs between builds.
_OF_TORCH = ("nvidia-", "cuda-", "triton")


def locked(name):
    lines = (ROOT / "locks" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(package): Version(version) for package, version in pairs}


def dependencies(extra=""):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return map(Requirement, project["optional-dependencies"][extra] if extra else project["dependencies"])


@pytest.mark.locked
def test_what_is_installed_is_what_is_locked():
    lock = locked("main")
    installed = {canonicalize_name(d.name): Version(Version(d.version).public) for d in distributions()}
    others = {name: installed[name] for name in installed if name not in _OWN and not name.startswith(_OF_TORCH)}
    assert others == {name: lock.get(name) for name in others}


@pytest.mark.parametrize("name", ["main", "oldest", "harnesses", "vllm"])
def test_a_lock_holds_names_and_exact_versions_only(name):
    lines = (ROOT / "locks" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    for line in lines[1:]:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line), line


@pytest.mark.parametrize(
    ("name", "extras"), [("main", ("", "dev", "docs", "ray")), ("oldest", ("", "dev")), ("vllm", ("",))]
)
def test_a_lock_has_every_dependency_in_a_version_that_is_allowed(name, extras):
    lock = locked(name)
    for requirement in (one for extra in extras for one in dependencies(extra)):
        assert requirement.specifier.contains(lock[canonicalize_name(requirement.name)]), requirement


def test_the_oldest_versions_are_the_lower_bounds():
    lock = locked("oldest")
    for requirement in dependencies():
        bounds = [one.version for one in requirement.specifier if one.operator == ">="]
        assert [lock[canonicalize_name(requirement.name)]] == [Version(bound) for bound in bounds], requirement


@pytest.mark.parametrize("name", ["main", "oldest", "harnesses", "vllm"])
def test_what_builds_packages_is_locked(name):
    # Without isolation, a package that comes as source is built by what the environment has.
    assert {"hatchling", "setuptools"} <= locked(name).keys()
