"""Between validations: what a death loses, and how much memory a validation takes."""

import pytest
import torch
from safetensors.torch import load_file

from local_models import checkpoints
from local_models.backbone import Backbone, Shape
from local_models.threads import suited_to
from local_models.trainer import CHECKPOINT, Batch, Schedule, evaluate, train

N, POINTS, STEPS = 3, 6, 9


def batch_of(step, problems=4, points=POINTS):
    generator = torch.Generator().manual_seed(step)
    xs = torch.randint(2, (problems, points, N), generator=generator)
    return Batch(xs, xs[..., 0], xs[..., 0])


def network(points=POINTS):
    torch.manual_seed(0)
    return Backbone(Shape("transformer", N + 1, layers=1, width=16, tokens=2 * points, options={}))


def run(folder, dies_after=None):
    """Train without a validation before the end; the steps that were taken."""
    folder.mkdir(exist_ok=True)
    steps = []

    def on_step(progress):
        steps.append(progress.step)
        if progress.step == dies_after:
            raise KeyboardInterrupt

    schedule = Schedule(steps=STEPS, rate=1e-3, warmup=1, evaluate_every=STEPS)
    train(network(), schedule, batch_of, {"first bit": batch_of(99)}, folder, on_step)
    return steps


@pytest.mark.parametrize("seconds", [0.0, 3600.0])
def test_what_was_trained_for_longer_than_a_while_is_not_trained_again(tmp_path, monkeypatch, seconds):
    monkeypatch.setattr(checkpoints, "LONGEST_UNSAVED", seconds)
    run(tmp_path / "undisturbed")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed", dies_after=5)
    assert run(tmp_path / "killed")[0] == (6 if seconds == 0 else 1)
    truth, found = (load_file(tmp_path / name / CHECKPOINT) for name in ("undisturbed", "killed"))
    assert all(torch.equal(found[name], truth[name]) for name in truth)
    assert found.keys() == truth.keys()


def test_a_validation_on_long_problems_takes_few_at_a_time(monkeypatch):
    points, problems = 600, 64
    model, batch = network(points), batch_of(0, problems, points)
    sizes, forward = [], Backbone.forward

    def counted(self, tokens, **options):
        sizes.append(tokens.shape[0] * tokens.shape[1])
        return forward(self, tokens, **options)

    monkeypatch.setattr(Backbone, "forward", counted)
    parts = evaluate(model, {"first bit": batch})
    assert len(sizes) > 1
    assert max(sizes) <= 2**15
    monkeypatch.setattr("local_models.trainer._TOKENS_AT_ONCE", 2**30)
    assert parts["loss"] == pytest.approx(evaluate(model, {"first bit": batch})["loss"], abs=1e-5)


@pytest.mark.parametrize(("width", "used"), [(16, 1), (2600, 2)])
def test_small_matrices_are_multiplied_by_one_thread(width, used):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with suited_to(torch.nn.Linear(width, 2600)):
            assert torch.get_num_threads() == used
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
