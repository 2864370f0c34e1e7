"""A backend of another distribution is one file and an entry point: what its attributes promise then works."""

import json
import os
from pathlib import Path

import polars as pl
import pytest

from tests.conftest import TinyModels, run_cli

MODULE = '''
"""A backend that loads models from the folder beside it."""

from pathlib import Path

from llm_icl.backends.base import LanguageModel, backends
from llm_icl.backends.transformers import TransformersModel


@backends.register("mine")
class Mine(TransformersModel):
    """Options of mine."""

    @classmethod
    def source(cls, entry):
        return str(Path(__file__).parent / entry.identifier), {}


@backends.register("blind")
class Blind(Mine):
    exposes_weights = False


@backends.register("dear")
class Dear(LanguageModel):
    priced = True
'''


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder that is on the path: the module, what an installer writes of it, and a model."""
    folder = tmp_path_factory.mktemp("site")
    TinyModels(folder).gpt2()
    (folder / "mine.py").write_text(MODULE)
    installed = folder / "mine-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text("[llm_icl.backends]\nmine = mine\n")
    return folder


@pytest.fixture
def icl(site, tmp_path):
    own = [str(site), str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(own)}

    def run(command):
        return run_cli(*command.split(), cwd=tmp_path, env=environment)

    return run


SIZE = "--n 3 --points 8 --problems 2"


def test_its_models_are_evaluated(icl, tmp_path):
    done = icl(f"eval --model mine/gpt2,mine/gpt2:dtype=bfloat16 --task majority {SIZE} --max-cost 1 --out run")
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert {mode["mode"] for mode in record["modes"]} == {"curve"}
    assert [model["backend"] for model in record["models"].values()] == ["mine", "mine"]
    asked = pl.read_parquet(tmp_path / "run" / "predictions.parquet").filter(pl.col("learner") == "mine/gpt2")
    assert len(asked) == 16
    assert set(asked["status"]) <= {"ok", "unparseable"}  # a random model's labels are hardly ever likely
    assert asked["mass"].null_count() == 0


def test_its_models_heads_are_probed(icl, tmp_path):
    done = icl(f"probe --model mine/gpt2 --task conjunction {SIZE} --copies 2 --out heads")
    assert done.returncode == 0, done.stderr
    assert set(pl.read_parquet(tmp_path / "heads" / "heads.parquet")["model"]) == {"mine/gpt2"}


def test_its_models_are_shown(icl):
    assert "Options of mine." in icl("show model mine/gpt2").stdout
    shown = icl("show prompt basic --model mine/gpt2")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.endswith("Label:\n")


def test_its_weights_are_the_body_of_a_network_that_is_trained(icl, tmp_path):
    sizes = "--task parity --n 3 --points 6 --steps 2 --batch-size 2"
    done = icl(f"train --architecture mine/gpt2 {sizes} --out trained")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "trained" / "run.json").read_text())["status"] == "complete"


def test_without_weights_there_is_no_probe(icl):
    done = icl(f"probe --model blind/gpt2 --task conjunction {SIZE} --copies 2 --out heads")
    assert done.returncode == 2
    told = "'blind/gpt2': the backend 'blind' gives no access to attention and gradients; these do: hf, mine"
    assert done.stderr.strip().splitlines()[-1] == f"llm-icl: {told}"


def test_a_model_in_this_process_is_not_asked_elsewhere(icl):
    done = icl(f"eval --model mine/gpt2 --base-url http://localhost:1/v1 --task majority {SIZE}")
    assert done.returncode == 2
    assert "'mine/gpt2' runs in this process: --base-url" in done.stderr


def test_a_limit_of_cost_needs_the_prices_of_a_backend_that_has_any(icl):
    done = icl("eval --model dear/one --max-cost 1 --task majority --n 3")
    assert done.returncode == 2
    assert "--max-cost: the price of 'dear/one' is unknown" in done.stderr
