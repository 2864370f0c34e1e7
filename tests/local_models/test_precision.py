"""Training in bfloat16 on a CPU: outputs and gradients are those of float32 to the precision of bfloat16."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from local_models.architectures import architectures
from local_models.backbone import Backbone, Shape
from local_models.metrics import read_metrics
from local_models.trainer import Batch, Schedule, logits, train


@pytest.mark.parametrize("name", architectures())
def test_every_architecture_computes_in_bfloat16_on_a_cpu(name):
    torch.manual_seed(0)
    model = Backbone(Shape(name, inputs=6, width=32, layers=2, tokens=40))
    xs, ys = torch.randint(2, (4, 20, 5)), torch.randint(2, (4, 20))
    found = []
    for lower in (False, True):
        model.zero_grad()
        output = logits(model, Batch(xs, ys, ys), lower)
        F.binary_cross_entropy_with_logits(output, ys.float()).backward()
        found.append([output.detach(), *(p.grad.clone() for p in model.parameters() if p.grad is not None)])
    exact, lower = (torch.cat([part.flatten() for part in parts]) for parts in found)
    assert 1e-5 < (lower - exact).norm() / exact.norm() < 0.05


def test_attention_lowered_by_distance_computes_in_bfloat16_too():
    torch.manual_seed(0)
    model = Backbone(Shape("transformer", inputs=6, width=32, layers=2, options={"positions": "alibi"}))
    xs, ys = torch.randint(2, (4, 20, 5)), torch.randint(2, (4, 20))
    exact, lower = (logits(model, Batch(xs, ys, ys), lower).detach() for lower in (False, True))
    assert 1e-5 < (lower - exact).norm() / exact.norm() < 0.05


def test_training_in_bfloat16_repeats_itself_and_differs_from_float32(tmp_path):
    def batches(step):
        generator = torch.Generator().manual_seed(step)
        xs = torch.randint(2, (8, 10, 5), generator=generator)
        return Batch(xs, xs[..., 0], xs[..., 0])

    weights, losses = [], []
    for i, lower in enumerate((False, True, True)):
        torch.manual_seed(0)
        model, folder = Backbone(Shape("transformer", inputs=6, width=16, layers=1, tokens=20)), tmp_path / str(i)
        folder.mkdir()
        train(model, Schedule(steps=12), batches, {"first bit": batches(99)}, folder, lambda _: None, lower=lower)
        weights.append(torch.cat([parameter.detach().flatten() for parameter in model.parameters()]))
        losses.append(read_metrics(folder)[-1]["loss"])
    assert torch.equal(weights[1], weights[2])
    assert not torch.equal(weights[0], weights[1])
    assert losses[1] == pytest.approx(losses[0], rel=0.05)
