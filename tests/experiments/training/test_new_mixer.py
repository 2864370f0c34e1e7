"""A new mixer is one file of another distribution: listed, shown, trained and asked, and nothing else is edited."""

import json
import os

import pytest

from tests.conftest import run_cli
from tests.reports.reading import table_of

MIXER = '''
"""A leaky average of the tokens so far."""

import torch
from torch import nn

from local_models.architectures import architecture
from local_models.mixers.base import Mixer, decay_mask


@architecture("leaky", "a leaky average of the tokens so far")
@architecture("leaky-window", "the same over short sequences", window=True)
class Leaky(Mixer):
    """y_t = W sum over s <= t of decay^(t-s) x_s."""

    bounded = True

    def __init__(self, width, layers, decay=0.5, window=False, longest=512):
        super().__init__(width, layers)
        self.outside = self.output_projection()
        self.register_buffer("log_decay", torch.full((longest,), float(decay)).log())

    def forward(self, x):
        return self.outside(decay_mask(self.log_decay[: x.shape[1]]) @ x)
'''


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """An environment in which another distribution with that mixer is installed."""
    site = tmp_path_factory.mktemp("site")
    (site / "leaky.py").write_text(MIXER)
    about = site / "leaky-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: leaky\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[llm_icl.mixers]\nleaky = leaky\n")
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])}


def test_a_new_mixer_is_listed_and_shown(elsewhere, tmp_path):
    listed = run_cli("list", "architectures", cwd=tmp_path, env=elsewhere).stdout.splitlines()
    assert "leaky                    a leaky average of the tokens so far" in listed
    shown = run_cli("show", "architecture", "leaky-window", cwd=tmp_path, env=elsewhere).stdout
    assert "decay^(t-s)" in shown
    assert "Options and defaults: decay=0.5,window=true" in shown
    assert "leaky" not in run_cli("list", "architectures", cwd=tmp_path).stdout


def test_a_new_mixer_is_trained_and_then_answers(elsewhere, tmp_path):
    size = "--task conjunction --n 4 --points 8".split()
    train = "train --architecture leaky:decay=0.9 --layers 2 --width 16 --batch-size 8 --steps 4 --out run".split()
    done = run_cli(*train, *size, cwd=tmp_path, env=elsewhere)
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (record["status"], record["steps"]) == ("complete", 4)
    assert record["request"]["shape"] == {
        "architecture": "leaky", "inputs": 5, "outputs": 1, "width": 16, "layers": 2, "tokens": 16,
        "options": {"decay": 0.9},
    }  # fmt: skip
    done = run_cli(*"eval --model run --problems 3 --json".split(), *size, cwd=tmp_path, env=elsewhere)
    assert done.returncode == 0, done.stderr
    assert "run" in {row["learner"] for row in table_of(done.stdout, "scores")}


def test_a_new_mixer_is_the_nearest_name_and_has_no_other_options(elsewhere, tmp_path):
    for asked, said in (("leeky", "did you mean 'leaky'?"), ("leaky:heads=2", "has no option 'heads'")):
        done = run_cli("train", "--architecture", asked, "--task", "conjunction", cwd=tmp_path, env=elsewhere)
        assert done.returncode == 2
        assert said in done.stderr
