"""A language model between new ends: what of it is trained, what a checkpoint keeps, what it sees."""

import pytest
import torch
from safetensors import safe_open

from local_models import checkpoints
from local_models.backbone import Shape
from local_models.checkpoints import CheckpointError
from local_models.counting import flops_per_sequence
from local_models.pretrained import Pretrained
from local_models.trainer import CHECKPOINT, Batch, Schedule, train

WIDTH, CONTEXT, BITS = 16, 24, 3
NORMS = {"gpt2": ("ln_1", "ln_2", "ln_f"), "llama": ("input_layernorm", "post_attention_layernorm", "norm")}
NEW = ("read_in", "read_out")
every_body = pytest.mark.parametrize("kind", NORMS)


def body(kind, seed=0):
    from transformers import GPT2Config, GPT2Model, LlamaConfig, LlamaModel

    torch.manual_seed(seed)
    if kind == "gpt2":
        return GPT2Model(GPT2Config(vocab_size=50, n_positions=CONTEXT, n_embd=WIDTH, n_layer=2, n_head=2))
    return LlamaModel(
        LlamaConfig(
            vocab_size=50, max_position_embeddings=CONTEXT, hidden_size=WIDTH, intermediate_size=32,
            num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
        )
    )  # fmt: skip


def model_of(kind, trainable="nothing", seed=0, ends=1):
    inside = body(kind, seed)
    torch.manual_seed(ends)
    shape = Shape(kind, BITS + 1, width=WIDTH, layers=2, tokens=CONTEXT, options={"trainable": trainable})
    return Pretrained(shape, inside)


def batches(step):
    generator = torch.Generator().manual_seed(step)
    xs = torch.randint(2, (8, 6, BITS), generator=generator)
    return Batch(xs, xs[..., 0], xs[..., 0])


def trained(model, folder, steps=3):
    schedule = Schedule(steps, "adamw", 1e-2, warmup=0, evaluate_every=steps, stop_at=2.0)
    train(model, schedule, batches, {"first bit": batches(99)}, folder, lambda _: None)
    return model


def sequences(tokens=12, seed=5):
    return torch.randn(3, tokens, BITS + 1, generator=torch.Generator().manual_seed(seed))


def is_norm(kind, name):
    return name.startswith("body.") and name.split(".")[-2] in NORMS[kind]


# --- what is trained ---


@every_body
@pytest.mark.parametrize("trainable", ["nothing", "norms", "all"])
def test_only_what_is_trained_changes_and_all_of_it(kind, trainable, tmp_path):
    model = model_of(kind, trainable)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    after = trained(model, tmp_path).state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    expected = {
        name
        for name in before
        if name.startswith(NEW) or trainable == "all" or (trainable == "norms" and is_norm(kind, name))
    }
    assert changed == expected
    assert (
        len({name for name in expected if is_norm(kind, name)})
        == {
            "nothing": 0,
            "norms": 10 if kind == "gpt2" else 5,  # two a layer and one at the end; GPT-2's have biases
            "all": 10 if kind == "gpt2" else 5,
        }[trainable]
    )


@every_body
def test_the_language_model_never_drops_anything_out(kind):
    fresh = model_of(kind)
    for model in (fresh, model_of(kind).train()):
        with torch.no_grad():
            assert torch.equal(model(sequences()), model(sequences()))


def test_frozen_matrices_compute_no_gradients_of_their_weights():
    tokens = 12
    frozen, all_of_it = (flops_per_sequence(model_of("llama", kind).eval(), tokens) for kind in ("nothing", "all"))
    # Queries and outputs; one head of two of keys and of values; the three maps of the gated MLP.
    matrices = 2 * (2 * WIDTH**2 + 2 * WIDTH * WIDTH // 2 + 3 * WIDTH * 32)
    assert 2 * tokens * matrices <= all_of_it - frozen < 1.1 * 2 * tokens * matrices


# --- checkpoints ---


@every_body
@pytest.mark.parametrize("trainable", ["nothing", "norms", "all"])
def test_a_restored_checkpoint_gives_the_same_logits_and_holds_nothing_frozen(kind, trainable, tmp_path):
    model = trained(model_of(kind, trainable), tmp_path).eval()
    other = model_of(kind, trainable, ends=2).eval()
    with torch.no_grad():
        truth = model(sequences())
        assert not torch.equal(other(sequences()), truth)
        checkpoints.restore(tmp_path / CHECKPOINT, other)
        assert torch.equal(other(sequences()), truth)
    with safe_open(tmp_path / CHECKPOINT, "pt") as file:
        kept = {name.removeprefix("model.") for name in file.keys() if name.startswith("model.")}  # noqa: SIM118
    assert kept == {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert checkpoints.shape_of(tmp_path / CHECKPOINT) == model.shape


@every_body
@pytest.mark.parametrize("trainable", ["nothing", "norms"])
def test_a_checkpoint_is_not_restored_over_other_frozen_weights(kind, trainable, tmp_path):
    trained(model_of(kind, trainable), tmp_path)
    with pytest.raises(CheckpointError, match="different frozen"):
        checkpoints.restore(tmp_path / CHECKPOINT, model_of(kind, trainable, seed=1))
    nearly = model_of(kind, trainable)
    frozen = [parameter for parameter in nearly.body.parameters() if not parameter.requires_grad]
    with torch.no_grad():
        frozen[-1].view(-1)[-1] += 1e-6
    with pytest.raises(CheckpointError, match="different frozen"):
        checkpoints.restore(tmp_path / CHECKPOINT, nearly)


def test_a_checkpoint_with_nothing_frozen_holds_the_whole_language_model(tmp_path):
    model = trained(model_of("llama", "all"), tmp_path).eval()
    other = model_of("llama", "all", seed=1).eval()
    checkpoints.restore(tmp_path / CHECKPOINT, other)
    with torch.no_grad():
        assert torch.equal(other(sequences()), model(sequences()))


def test_training_goes_on_from_a_checkpoint_to_the_same_weights(tmp_path):
    def stop(progress):
        if progress.step == 5:
            raise KeyboardInterrupt

    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    schedule = Schedule(8, "adamw", 1e-2, evaluate_every=2, stop_at=2.0)
    found = []
    for folder, report in (("whole", None), ("cut", stop), ("cut", None)):
        model = model_of("gpt2", "norms")
        try:
            train(model, schedule, batches, {"first bit": batches(99)}, tmp_path / folder, report or (lambda _: None))
        except KeyboardInterrupt:
            continue
        found.append(model.state_dict())
    whole, cut = found
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


# --- what it sees ---


@every_body
def test_an_output_depends_on_its_token_and_the_earlier_ones_only(kind):
    model, inputs = model_of(kind).eval(), sequences()
    changed = inputs.clone()
    changed[:, 7] += 1
    with torch.no_grad():
        difference = (model(inputs) - model(changed)).abs().amax(dim=(0, 2))
        shorter = model(inputs[:, :7])
        torch.testing.assert_close(shorter, model(inputs)[:, :7], atol=1e-6, rtol=0)
    assert difference[:7].max() == 0
    assert difference[7:].min() > 0


@every_body
def test_a_sequence_that_is_longer_than_the_context_is_refused(kind):
    model = model_of(kind).eval()
    assert model.longest == CONTEXT
    with torch.no_grad():
        assert model(sequences(CONTEXT)).shape == (3, CONTEXT, 1)
        with pytest.raises(ValueError, match=f"{CONTEXT + 1} tokens is longer"):
            model(sequences(CONTEXT + 1))


@every_body
def test_attention_over_more_than_the_context_is_refused_too(kind):
    model = model_of(kind).eval()
    with torch.no_grad():
        assert len(model.attention(sequences(CONTEXT))) == 2
        with pytest.raises(ValueError, match=f"{CONTEXT + 1} tokens is longer"):
            model.attention(sequences(CONTEXT + 1))


@every_body
def test_attention_weights_sum_to_one_over_the_past_and_change_nothing(kind):
    model, inputs = model_of(kind).eval(), sequences()
    with torch.no_grad():
        before = model(inputs)
        found = model.attention(inputs)
        assert torch.equal(model(inputs), before)
    assert list(found) == [0, 1]
    for weights in found.values():
        assert weights.shape == (3, 2, 12, 12)
        torch.testing.assert_close(weights.sum(-1), torch.ones(3, 2, 12))
        assert (weights.triu(1) == 0).all()
        assert (weights >= 0).all()
