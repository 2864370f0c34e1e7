"""Where training begins: the ranges and sizes of the parameters of every mixer, and which of them are marked."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from local_models.backbone import Backbone, Shape
from tests.local_models.making import MIXERS

WIDTH, LAYERS = 64, 3


def start(name, seed=0, **options):
    torch.manual_seed(seed)
    if name == "dss":
        options.setdefault("states", 8)  # the eigenvalues of a large matrix take longer than all else
    return MIXERS[name](WIDTH, LAYERS, **options)


def steps(model):
    """softplus of the bias of the step: the step of a token that does not ask for another."""
    return torch.nn.functional.softplus(model.step_bias).detach()


def within(values, low, high):
    """Whether values lie in a range, up to rounding, and do not keep to one end of it."""
    assert low * (1 - 1e-5) <= values.min() <= values.max() <= high * (1 + 1e-5)
    assert values.max() - values.min() > (high - low) / 20


def assert_spread(weight, std):
    """Whether the standard deviation is the given one, within five standard errors."""
    assert abs(weight.std().item() / std - 1) < 5 / math.sqrt(2 * weight.numel())
    assert abs(weight.mean().item()) < 5 * std / math.sqrt(weight.numel())


# --- state spaces ---


def test_s4d_begins_with_its_line_of_eigenvalues_in_every_channel():
    model = start("s4d")
    real, imaginary = -model.log_real.detach().exp(), model.imaginary.detach()
    assert real.shape == imaginary.shape == (WIDTH, 32)
    assert torch.allclose(real, torch.tensor(-0.5))
    assert torch.allclose(imaginary, (math.pi * torch.arange(32)).expand(WIDTH, 32))


def test_dss_begins_with_the_eigenvalues_of_the_normal_part_of_hippo():
    model = start("dss", states=64)
    p = np.sqrt(2 * np.arange(128) + 1)
    hippo = -np.tril(np.outer(p, p), -1) - np.diag(np.arange(128) + 1)
    eigenvalues = np.linalg.eigvals(hippo + np.outer(p, p) / 2)
    assert np.allclose(eigenvalues.real, -0.5)
    upper = np.sort(eigenvalues.imag[eigenvalues.imag > 0])
    assert model.imaginary.shape == (1, 64)
    assert np.allclose(np.sort(model.imaginary.detach().numpy()[0]), upper, rtol=1e-5)
    assert np.allclose(-model.log_real.detach().exp().numpy(), -0.5)


@pytest.mark.parametrize("name", ["s4d", "dss"])
def test_a_state_space_forgets_whatever_its_parameters_are(name):
    model = start(name).double()
    with torch.no_grad():
        for parameter in (model.log_real, model.imaginary, model.log_step):
            parameter.add_(3 * torch.randn_like(parameter))
        _, state = model.step(torch.ones(1, WIDTH).double(), model.initial_state(1))
        _, later = model.step(torch.zeros(1, WIDTH).double(), state)
    assert (later.abs() < state.abs()).all()


@pytest.mark.parametrize("name", ["s4d", "dss"])
def test_a_state_space_begins_with_steps_of_all_sizes_in_their_range(name):
    within(start(name).log_step.detach().exp(), 1e-3, 1e-1)
    within(start(name, slowest=0.02, fastest=0.5).log_step.detach().exp(), 0.02, 0.5)


def test_a_state_space_begins_with_normal_outputs():
    # A conjugate pair of which one is kept counts twice: its parts have a variance of 4 / 2 each.
    assert_spread(start("s4d").read_out, math.sqrt(2))
    assert_spread(start("dss").read_out, 1)
    assert_spread(start("s4d").direct, 1)


@pytest.mark.parametrize(
    ("name", "options"), [("mamba", {}), ("mamba2", {"head_width": 2}), ("deltanet", {"heads": 32})]
)
def test_selective_mixers_begin_with_steps_of_all_sizes_in_their_range(name, options):
    within(steps(start(name, **options)), 1e-3, 1e-1)


@pytest.mark.parametrize("architecture", ["mamba", "mamba2", "gated-deltanet", "hybrid"])
def test_steps_are_in_their_range_in_a_whole_model_too(architecture):
    torch.manual_seed(0)
    model = Backbone(Shape(architecture, 3))
    checked = [steps(block.mixer) for block in model.blocks if hasattr(block.mixer, "step_bias")]
    assert len(checked) == (2 if architecture == "hybrid" else 3)
    for values in checked:
        assert 1e-3 * (1 - 1e-5) <= values.min() <= values.max() <= 1e-1 * (1 + 1e-5)


def test_mamba_begins_with_the_decays_1_to_n_in_every_channel():
    model = start("mamba")
    assert torch.allclose(model.log_decay.exp(), torch.arange(1.0, 17.0).expand(2 * WIDTH, 16))
    assert torch.equal(model.direct, torch.ones(2 * WIDTH))
    rank = WIDTH // 16
    assert model.step_weight.shape == (2 * WIDTH, rank)
    bound = rank**-0.5
    assert 0.9 * bound < model.step_weight.abs().max() <= bound
    assert_spread(model.step_weight, bound / math.sqrt(3))


def test_mamba2_begins_with_decays_from_1_to_16():
    model = start("mamba2", head_width=2)
    within(model.log_decay.detach().exp(), 1, 16)
    assert torch.equal(model.direct, torch.ones(WIDTH))
    assert start("mamba2").heads == 4


def test_gated_deltanet_begins_with_decays_up_to_16():
    within(start("deltanet", heads=32).log_decay.detach().exp(), 1e-4, 16)
    assert all(start("deltanet", seed).log_decay.isfinite().all() for seed in range(20))


def test_retentions_decays_are_1_minus_the_powers_of_a_half_from_the_fifth_on():
    gammas = start("retnet").log_gamma.exp().tolist()
    assert gammas == pytest.approx([1 - 1 / 32, 1 - 1 / 64, 1 - 1 / 128, 1 - 1 / 256], abs=1e-7)
    assert not any(parameter is start("retnet").log_gamma for parameter in start("retnet").parameters())


# --- weights ---


@pytest.mark.parametrize(("options", "gain", "last"), [({}, 2**-2.5, 0.5), ({"published": False}, 1, 1)])
def test_retention_begins_with_xaviers_weights(options, gain, last):
    model = start("retnet", **options)
    bound = math.sqrt(6 / (2 * WIDTH))
    for part in model.inside.weight.chunk(4):
        assert 0.99 * gain * bound < part.abs().max() <= gain * bound
        assert_spread(part, gain * bound / math.sqrt(3))
    assert 0.99 * last * bound < model.outside.weight.abs().max() <= last * bound
    assert_spread(model.outside.weight, last * bound / math.sqrt(3))


@pytest.mark.parametrize("name", [name for name in MIXERS if name not in ("lstm", "gru", "retnet", "dss", "s4d")])
def test_linear_maps_begin_so_that_what_comes_out_is_as_large_as_what_goes_in(name):
    model = start(name)
    assert_spread(model.inside.weight, WIDTH**-0.5)
    assert model.inside.bias is None or not model.inside.bias.any()


def test_the_maps_that_select_begin_so_too():
    assert_spread(start("mamba").select.weight, (2 * WIDTH) ** -0.5)
    assert_spread(start("deltanet").rates.weight, WIDTH**-0.5)


@pytest.mark.parametrize("layers", [1, 3, 12])
@pytest.mark.parametrize("name", [name for name in MIXERS if name != "retnet"])
def test_what_is_added_to_the_stream_begins_smaller_by_the_root_of_the_number_of_additions(name, layers):
    torch.manual_seed(0)
    model = MIXERS[name](WIDTH, layers)
    assert_spread(model.outside.weight, 1 / math.sqrt(2 * layers * model.outside.in_features))
    assert not model.outside.bias.any()


def test_the_lstms_forget_gate_begins_open():
    cell = start("lstm").cell
    forget = slice(WIDTH, 2 * WIDTH)
    assert torch.equal(cell.bias_ih_l0[forget] + cell.bias_hh_l0[forget], torch.ones(WIDTH))
    for other in (slice(0, WIDTH), slice(2 * WIDTH, 4 * WIDTH)):
        assert (cell.bias_ih_l0[other] + cell.bias_hh_l0[other]).abs().max() < 0.5


def test_the_momentum_filter_begins_with_decays_near_a_half_and_gains_of_both_signs():
    model = start("momentum-learned")
    assert_spread(model.delta, 0.2)
    assert_spread(model.gamma, 1)


def test_hyena_begins_with_turns_of_one_and_normal_biases():
    model = start("hyena", order=3)
    assert torch.equal(model.frequency, torch.ones(64))
    assert model.bias.shape == (2, WIDTH)
    assert_spread(model.bias, 1)
    assert model.last.bias is None
    assert [layer.in_features for layer in model.hidden] == [3, 64, 64]


def test_hyenas_filters_forget_to_a_hundredth_after_0_3_to_1_5_of_the_longest_sequence():
    window = start("hyena", longest=301).window
    assert torch.equal(window[0], torch.ones(WIDTH))
    assert window[90, -1].item() == pytest.approx(0.01, rel=1e-4)
    assert window[300, 0].item() == pytest.approx(0.01 ** (1 / 1.5), rel=1e-4)
    assert (window.diff(dim=1) <= 0).all()


# --- marks ---

STATE_SPACE = {"log_real", "imaginary", "log_step", "read_out", "direct"}
MARKED = {
    ("attention",): set(),
    ("momentum",): set(),
    ("momentum", "learned"): {"logit"},
    ("momentum-learned",): {"delta", "gamma"},
    ("linear-attention",): set(),
    ("lstm",): set(),
    ("gru",): set(),
    ("dss",): STATE_SPACE,
    ("dss", "softmax"): STATE_SPACE,
    ("s4d",): STATE_SPACE,
    ("hyena",): {"frequency", "bias"},
    ("retnet",): set(),
    ("mamba",): {"step_bias", "log_decay", "direct"},
    ("mamba2",): {"step_bias", "log_decay", "direct"},
    ("deltanet",): {"step_bias", "log_decay"},
}


def marks(model, mark):
    return {name: getattr(p, mark) for name, p in model.named_parameters() if hasattr(p, mark)}


@pytest.mark.parametrize(("key", "names"), MARKED.items())
def test_parameters_of_state_spaces_and_of_steps_take_no_weight_decay(key, names):
    model = start(key[0], **dict.fromkeys(key[1:], True))
    assert marks(model, "no_decay") == dict.fromkeys(names, True)
    assert marks(model.double(), "no_decay") == dict.fromkeys(names, True)


def test_marks_are_checked_for_every_mixer():
    assert {key[0] for key in MARKED} == set(MIXERS)
    assert not marks(start("deltanet", gated=False), "no_decay")


@pytest.mark.parametrize("name", MIXERS)
def test_only_eigenvalues_and_steps_of_state_spaces_have_a_maximum_learning_rate_of_their_own(name):
    rates = marks(start(name), "max_rate")
    if name in ("dss", "s4d"):
        assert {rates.pop(parameter) for parameter in ("log_real", "imaginary", "log_step")} == {1e-3}
        rates.pop("read_out", None)
    assert not rates


@pytest.mark.parametrize("name", MIXERS)
def test_no_parameter_is_complex_or_without_a_gradient(name):
    for parameter in start(name).parameters():
        assert parameter.dtype == torch.float32
        assert parameter.requires_grad
        assert isinstance(parameter, nn.Parameter)


@pytest.mark.parametrize("name", MIXERS)
def test_a_start_is_settled_by_the_seed(name):
    first, again, other = start(name), start(name), start(name, seed=1)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))
