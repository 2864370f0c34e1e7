"""Whatever becomes infinite or no number in training: the training fails, and the last good checkpoint stays."""

import json
import math

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel

from local_models import checkpoints, language_trainer, trainer
from local_models.backbone import Backbone, Shape
from local_models.language_trainer import LanguageSchedule
from local_models.optimisers import optimisers_for
from local_models.trainer import CHECKPOINT, Batch, Schedule, TrainingError

STEPS, EVERY = 7, 3
N, POINTS = 3, 6


def batch_of(step):
    generator = torch.Generator().manual_seed(step)
    xs = torch.randint(2, (4, POINTS, N), generator=generator)
    return Batch(xs, xs[..., 0], xs[..., 0])


class Fault:
    """Spoils a gradient, a weight or the optimisers' state at one step of a training; with no name nothing."""

    def __init__(self, what, number, at, model, optimisers):
        self.what, self.number, self.at, self.step = what, number, at, 0
        self.model, self.optimisers = model, optimisers
        self.victim = next(model.parameters())
        self.victim.register_hook(self._on_gradient)
        self._wrap(optimisers[-1])

    def _on_gradient(self, gradient):
        if self.what == "gradient" and self.step == self.at - 1:
            gradient = gradient.clone()
            gradient.view(-1)[0] = self.number
        return gradient

    def _wrap(self, optimiser):
        original = optimiser.step

        def step(*arguments, **options):
            original(*arguments, **options)
            self.step += 1
            if self.step != self.at:
                return
            if self.what == "weight":
                self.victim.data.view(-1)[0] = self.number
            if self.what == "state":
                for one in self.optimisers:
                    for state in one.state.values():
                        key = "momentum" if "momentum" in state else "exp_avg_sq"
                        state[key].view(-1)[0] = self.number

        optimiser.step = step


def train_network(folder, monkeypatch, what="", number=math.nan, at=STEPS, optimiser="muon"):
    torch.manual_seed(0)
    model = Backbone(Shape("transformer", N + 1, layers=1, width=16, tokens=2 * POINTS, options={}))

    def with_fault(*arguments):
        optimisers = optimisers_for(*arguments)
        Fault(what, number, at, model, optimisers)
        return optimisers

    monkeypatch.setattr(trainer, "optimisers_for", with_fault)
    schedule = Schedule(steps=STEPS, optimiser=optimiser, rate=1e-3, warmup=1, evaluate_every=EVERY, seed=5)
    trainer.train(model, schedule, batch_of, {"first bit": batch_of(99)}, folder, lambda _: None)


@pytest.mark.parametrize("optimiser", ["muon", "adamw", "adam"])
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("at", [1, 5, STEPS])
def test_a_gradient_that_is_not_finite_changes_nothing_that_was_saved(tmp_path, monkeypatch, optimiser, number, at):
    with pytest.raises(TrainingError) as caught:
        train_network(tmp_path, monkeypatch, "gradient", number, at, optimiser)
    assert f"the norm of the gradient is {'nan' if math.isnan(number) else 'inf'} at step {at} of 7" in str(
        caught.value
    )
    assert "and seed 5: try a smaller learning rate" in str(caught.value)
    assert_kept(tmp_path, str(caught.value), at)


@pytest.mark.parametrize("optimiser", ["muon", "adamw", "adam"])
@pytest.mark.parametrize(("what", "at"), [("weight", 3), ("weight", 4), ("weight", STEPS), ("state", 6), ("state", 7)])
@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_weights_and_states_that_are_not_finite_are_not_saved(tmp_path, monkeypatch, optimiser, what, number, at):
    with pytest.raises(TrainingError, match=r"(loss|gradient|weights|state).* (is|are) (nan|inf|not finite)") as caught:
        train_network(tmp_path, monkeypatch, what, number, at, optimiser)
    # Between checkpoints the next step shows it.
    assert_kept(tmp_path, str(caught.value), at if at % EVERY == 0 or at == STEPS else at + 1)


def assert_kept(folder, message, failed):
    kept = (failed - 1) // EVERY * EVERY
    assert ("nothing was saved" if kept == 0 else f"the checkpoint of step {kept} is kept") in message
    assert (folder / CHECKPOINT).is_file() == (kept > 0)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert all(math.isfinite(line["loss"]) for line in lines)
    if kept:
        assert all(tensor.isfinite().all() for tensor in load_file(folder / CHECKPOINT).values())


def test_after_a_failure_it_goes_on_from_the_checkpoint_that_was_kept(tmp_path, monkeypatch):
    (tmp_path / "whole").mkdir()
    (tmp_path / "failed").mkdir()
    train_network(tmp_path / "whole", monkeypatch)
    with pytest.raises(TrainingError):
        train_network(tmp_path / "failed", monkeypatch, "gradient", math.inf, STEPS)
    train_network(tmp_path / "failed", monkeypatch)
    whole, failed = (load_file(tmp_path / name / CHECKPOINT) for name in ("whole", "failed"))
    assert all(torch.equal(whole[name], failed[name]) for name in whole)


def test_a_validation_that_is_no_number_is_not_saved(tmp_path, monkeypatch):
    monkeypatch.setattr(trainer.F, "binary_cross_entropy_with_logits", nan_where_nothing_learns)
    with pytest.raises(TrainingError, match="the validation loss on first bit is nan at step 3 of 7"):
        train_network(tmp_path, monkeypatch)
    assert not (tmp_path / CHECKPOINT).exists()


LOSS = torch.nn.functional.binary_cross_entropy_with_logits


def nan_where_nothing_learns(found, truth):
    return LOSS(found, truth) if found.requires_grad else torch.tensor(math.nan)


@pytest.mark.parametrize("key", ["model.", "optimiser."])
def test_a_checkpoint_that_is_not_finite_is_not_resumed_from(tmp_path, monkeypatch, key):
    """As earlier versions saved them."""
    train_network(tmp_path, monkeypatch)
    spoil(tmp_path / CHECKPOINT, key)
    with pytest.raises(checkpoints.CheckpointError, match=r"is of a training that diverged \(.* (are|is) not finite\)"):
        train_network(tmp_path, monkeypatch)


def spoil(path, key):
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    name = next(name for name in tensors if name.startswith(key) and tensors[name].numel() > 1)
    tensors[name].view(-1)[-1] = math.nan
    save_file(tensors, path, metadata)


# --- language models ---


def train_language_model(folder, spoiled=None, at=STEPS, number=math.inf):
    torch.manual_seed(0)
    sizes = {"vocab_size": 20, "n_positions": 8, "n_embd": 16, "n_layer": 1, "n_head": 2}
    model = GPT2LMHeadModel(GPT2Config(**sizes, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0))
    steps = []

    def on_gradient(gradient):
        steps.append(0)
        return gradient * number if spoiled == "gradient" and len(steps) == at else gradient

    def on_output(_, __, output):
        validating = not torch.is_grad_enabled()
        if spoiled == "loss" and not validating and len(steps) == at - 1:
            output.logits.data.fill_(math.nan)
        if spoiled == "validation" and validating and len(steps) == at:
            output.logits.data.fill_(math.nan)

    model.transformer.wpe.weight.register_hook(on_gradient)
    model.register_forward_hook(on_output)
    schedule = LanguageSchedule(STEPS, 2, 8, 1e-3, 1, 5, EVERY)
    text = torch.randint(20, (200,), generator=torch.Generator().manual_seed(0))
    language_trainer.train(model, schedule, text, text[:40], folder, lambda *_: None)


@pytest.mark.parametrize(
    ("spoiled", "at", "message"),
    [
        ("gradient", 1, "the norm of the gradient is (inf|nan) at step 1 of 7"),
        ("gradient", STEPS, "the norm of the gradient is (inf|nan) at step 7 of 7"),
        ("loss", 5, "the loss is nan at step 5 of 7"),
        ("loss", STEPS, "the loss is nan at step 7 of 7"),
        ("validation", 6, "the held-out loss is nan at step 6 of 7"),
    ],
)
def test_a_language_model_that_diverges_is_not_saved(tmp_path, spoiled, at, message):
    with pytest.raises(TrainingError, match=message) as caught:
        train_language_model(tmp_path, spoiled, at)
    kept = (at - 1) // EVERY * EVERY
    assert ("nothing was saved" if kept == 0 else f"the checkpoint of step {kept} is kept") in str(caught.value)
    assert (tmp_path / CHECKPOINT).is_file() == (kept > 0)
    if kept:
        assert all(tensor.isfinite().all() for tensor in load_file(tmp_path / CHECKPOINT).values())


def test_a_frozen_weight_that_is_not_finite_does_not_count_as_trained(tmp_path):
    """Frozen weights are not saved; a model that uses them shows it in its loss."""
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[0].weight.data.fill_(math.inf)
    with pytest.raises(FloatingPointError, match=r"the weights '0\.weight' are not finite"):
        checkpoints.check_finite(model)
    model[0].requires_grad_(False)
    checkpoints.check_finite(model)
