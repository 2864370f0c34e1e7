"""Suites of identifications."""

import yaml

from llm_icl.experiments.identification.findings import read_findings
from tests.inside import run_inside

CARD = {
    "kind": "identify",
    "matrix": {"model": ["none"], "task": ["majority", "conjunction"], "n": [4]},
    "learner": ["averaging", "last-label"],
    "candidate": ["averaging", "last-label", "nearest-neighbour"],
    "examples": [5],
    "contexts": 20,
    "queries": 3,
}


def test_a_suite_of_identifications_gives_one_report(tmp_path):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(CARD))
    done = run_inside("run", "mine.yaml", "--out", "runs", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (
        "averaging on 2 cells (task and n)\n  Algorithm (clear): By searched queries: one algorithm in 2 of 2 cells"
        in (done.stdout)
    )
    assert done.stdout.count("averaging: Its answers are those of averaging, up to noise (") == 2
    runs = sorted(path.parent for path in (tmp_path / "runs").glob("*/findings.json"))
    assert len(runs) == 2
    named = [one.identification.names for run in runs for cell in read_findings(run) for one in cell.found]
    assert named == [("averaging",), ("last-label",)] * 2


def test_its_dry_run_and_its_mistakes(tmp_path):
    matrix = CARD["matrix"] | {"model": ["gpt-4.1"]}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({**CARD, "matrix": matrix}))
    planned = run_inside("run", "mine.yaml", "--dry-run", cwd=tmp_path)
    assert planned.returncode == 0, planned.stderr
    assert "contexts needed to tell candidates apart" in planned.stdout
    assert "120 calls" in planned.stdout
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({**CARD, "points": 4}))
    done = run_inside("run", "mine.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert "points" in done.stderr
