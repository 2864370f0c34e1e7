"""Training in bfloat16 on a CPU: another request than float32, passed on, and refused where it would be slower."""

import dataclasses

import pytest

from llm_icl.errors import RequestError, WorkError
from llm_icl.experiments.training import request as request_module
from llm_icl.experiments.training import run as run_module
from llm_icl.experiments.training.experiment import Training
from llm_icl.experiments.training.options import TrainingOptions
from local_models.backbone import Shape
from local_models.trainer import TrainingError


def training(**options):
    return Training.of(TrainingOptions(task=("majority",), n=3, points=6, width=16, layers=1, steps=6, **options))


@pytest.mark.parametrize("lower", [False, True])
def test_it_is_part_of_the_request_and_of_training(tmp_path, monkeypatch, lower):
    asked = []

    def train(*given):
        asked.append(given[-1])
        raise TrainingError("stopped")

    monkeypatch.setattr(request_module, "has_bfloat16", lambda: True)
    monkeypatch.setattr(run_module, "train", train)
    one = training(bfloat16=lower)
    assert one.record() == training().record() | ({"bfloat16": True} if lower else {})
    with pytest.raises(WorkError, match="stopped"):
        one.run(tmp_path / "run")
    assert asked == [lower]


def test_it_is_refused_where_it_would_be_slower(monkeypatch):
    monkeypatch.setattr(request_module, "has_bfloat16", lambda: False)
    one = training(bfloat16=True)
    with pytest.raises(RequestError, match="--bfloat16: this processor has no instructions for it"):
        one.check()
    pretrained = dataclasses.replace(one.request, shape=Shape("hf/some/model", inputs=4))
    with pytest.raises(RequestError, match="--bfloat16: the attention of pretrained models"):
        pretrained.check()
