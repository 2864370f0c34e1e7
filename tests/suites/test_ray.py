"""A sweep on a real Ray cluster of two nodes, one worker of which is killed (make test-ray)."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from ray.cluster_utils import Cluster
from safetensors.torch import load_file

from tests.conftest import run_cli

SUITE = """
kind: train
matrix:
  architecture: [transformer, gru]
  task: [conjunction]
  n: [4]
  layers: [1]
  seed: [0, 1]
points: 8
batch-size: 16
steps: 300
evaluate-every: 20
problems: 20
learner: [nearest-neighbour]
"""


@pytest.fixture
def cluster():
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    made.add_node(num_cpus=1)
    yield made
    made.shutdown()


def workers() -> list[int]:
    """The processes of Ray that are training: they carry the name of their cell."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith((b"ray::transformer+seed", b"ray::gru+seed")):
                found.append(int(path.parent.name))
        except OSError:  # it has just ended
            continue
    return found


@pytest.mark.ray
def test_a_sweep_is_complete_though_a_worker_is_killed(tmp_path, cluster):
    (tmp_path / "sweep.yaml").write_text(SUITE)
    environment = os.environ | {"RAY_ADDRESS": cluster.address}
    command = [sys.executable, "-c", "from llm_icl.cli.main import main; main()", "run", "sweep.yaml"]
    options = "--on ray --cpus-per-run 1 --out out".split()
    with subprocess.Popen([*command, *options], cwd=tmp_path, env=environment, stderr=subprocess.PIPE) as process:
        while process.poll() is None and not list(tmp_path.glob("out/*/metrics.jsonl")):
            time.sleep(0.05)
        killed = workers()
        assert killed, "no worker was seen"
        os.kill(killed[0], signal.SIGKILL)
        _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors.decode()
    assert len(list(tmp_path.glob("out/*/checkpoint.safetensors"))) == 4
    assert (tmp_path / "out" / "report.html").is_file()
    undisturbed = run_cli("run", "sweep.yaml", "--out", "alone", cwd=tmp_path)
    assert undisturbed.returncode == 0, undisturbed.stderr
    for path in tmp_path.glob("alone/*/checkpoint.safetensors"):
        truth, found = load_file(path), load_file(tmp_path / "out" / path.parent.name / path.name)
        assert set(found) == set(truth)
        assert all(torch.equal(found[name], truth[name]) for name in truth)


@pytest.mark.ray
def test_what_a_cluster_does_not_have_is_one_clear_line(tmp_path, cluster):
    (tmp_path / "sweep.yaml").write_text(SUITE)
    environment = os.environ | {"RAY_ADDRESS": cluster.address}
    done = run_cli(*"run sweep.yaml --on ray --cpus-per-run 7".split(), cwd=tmp_path, env=environment)
    assert done.returncode == 2
    assert "no node of the cluster has 7 cores and 0 GPUs" in done.stderr


@pytest.mark.ray
def test_without_a_cluster_it_says_how_to_start_one(tmp_path):
    (tmp_path / "sweep.yaml").write_text(SUITE)
    done = run_cli(*"run sweep.yaml --on ray".split(), cwd=tmp_path)
    assert done.returncode == 2
    assert "no Ray cluster found" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
