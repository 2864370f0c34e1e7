"""What the project says of itself agrees: version, licence, citation."""

import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_licence_is_named_by_its_identifier_everywhere():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert f"SPDX-License-Identifier: {PROJECT['license']}\n" in text
    assert "https://www.apache.org/licenses/LICENSE-2.0" in text
    assert PROJECT["license"] in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_citation_is_of_this_version_and_of_both_papers():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    first = [reference["authors"][0]["family-names"] for reference in citation["references"]]
    assert first == ["Bhattamishra", "Dai"]


def test_the_changelog_begins_with_this_version():
    lines = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    assert next(line for line in lines if line.startswith("## ")).split()[1] == PROJECT["version"]
