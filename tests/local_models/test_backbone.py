"""The model around the mixers: its equations, its two forms, its lengths, its size."""

import math

import pytest
import torch

from local_models.architectures import Architecture, architectures, find, register
from local_models.backbone import Backbone, Block, Shape, parameter_count, width_for
from local_models.mixers import state_space
from local_models.mixers.attention import Attention
from local_models.mixers.mamba2 import Mamba2
from tests.local_models.making import assert_close, gradients, ordinary, sequences

INPUTS, OUTPUTS, WIDTH, LAYERS, LONGEST = 5, 2, 32, 3, 24
WITH_POSITIONS = ("transformer", "momentum", "momentum-learned", "linear-attention")
WITHOUT_STEPS = ("hyena",)
BOUNDED = (*WITH_POSITIONS, "hyena")

ARCHITECTURES = tuple(architectures())

every_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES)
every_recurrent_architecture = pytest.mark.parametrize(
    "architecture", [name for name in ARCHITECTURES if name not in WITHOUT_STEPS]
)


def shape(architecture, options=None):
    # Fewer states than usual, for the eigenvalues of a large matrix take longer than all else.
    options = options or ({"states": 8} if architecture == "dss" else {})
    return Shape(architecture, INPUTS, OUTPUTS, WIDTH, LAYERS, LONGEST, options)


def model_of(architecture, options=None):
    """With weights of an ordinary size, in float64."""
    torch.manual_seed(0)
    return ordinary(Backbone(shape(architecture, options))).double()


def tokens(length=19):
    return sequences(length, INPUTS)


def layer_norm(layer, x):
    centred = x - x.mean(-1, keepdim=True)
    return centred / ((centred**2).mean(-1, keepdim=True) + 1e-5).sqrt() * layer.weight + layer.bias


def by_hand(model, x):
    """The whole model from its parts."""
    x = x @ model.read_in.weight.T + model.read_in.bias
    if model.positions is not None:
        x = x + model.positions[: x.shape[1]]
    for block in model.blocks:
        x = x + block.mixer(layer_norm(block.before_mixer, x))
        inside, _, outside = block.mlp
        hidden = layer_norm(block.before_mlp, x) @ inside.weight.T + inside.bias
        hidden = hidden * (1 + torch.erf(hidden / math.sqrt(2))) / 2
        x = x + hidden @ outside.weight.T + outside.bias
    return layer_norm(model.norm, x) @ model.read_out.weight.T + model.read_out.bias


# --- what it computes ---


@every_architecture
def test_a_model_is_its_parts(architecture):
    model, x = model_of(architecture), tokens()
    assert len(model.blocks) == LAYERS
    with torch.no_grad():
        assert_close(model(x), by_hand(model, x))


def test_a_hybrid_repeats_its_mixers_down_the_layers():
    model = Backbone(Shape("hybrid", INPUTS, layers=5))
    assert [type(block.mixer) for block in model.blocks] == [Mamba2, Attention, Mamba2, Attention, Mamba2]


@every_recurrent_architecture
def test_one_token_at_a_time_gives_what_all_at_once_give(architecture):
    model, x = model_of(architecture), tokens().requires_grad_()
    parallel, recurrent = model(x), model.unroll(x)
    assert_close(recurrent, parallel, 1e-10)
    inputs = (x, *model.parameters())
    for actual, expected in zip(gradients(recurrent, inputs), gradients(parallel, inputs), strict=True):
        assert_close(actual, expected, 1e-8)


@pytest.mark.parametrize(("architecture", "options"), [("hyena", {}), ("dss", {"softmax": True, "states": 8})])
def test_a_model_without_a_recurrent_form_says_so(architecture, options):
    with pytest.raises(NotImplementedError, match="has no recurrent form"):
        model_of(architecture, options=options).unroll(tokens())


@every_architecture
@pytest.mark.parametrize("t", [0, 7, 18])
def test_an_output_depends_on_its_own_and_earlier_tokens_only(architecture, t):
    x = tokens().requires_grad_()
    (gradient,) = gradients(model_of(architecture)(x)[:, t], (x,))
    size = gradient.abs().amax((0, 2))
    assert size[t] > 1e-3
    assert (size[:t] > 0).all()
    assert (size[t + 1 :] <= 1e-12 * size.max()).all()


@every_architecture
def test_a_sequence_of_other_tokens_at_the_end_has_the_same_outputs_before(architecture):
    model, x = model_of(architecture), tokens()
    with torch.no_grad():
        y, changed = model(x), x.clone()
        changed[:, 11:] += 1
        assert_close(model(changed)[:, :11], y[:, :11])
        assert (model(changed)[:, 11:] - y[:, 11:]).abs().amax((0, 2)).min() > 1e-3
        assert_close(model(x[:, :11]), y[:, :11])


@every_architecture
def test_every_architecture_tells_an_order(architecture):
    model, x = model_of(architecture), tokens()
    swapped = x[:, [1, 0, *range(2, 19)]]
    with torch.no_grad():
        assert (model(swapped) - model(x))[:, -1].abs().max() > 1e-6


@every_architecture
def test_outputs_are_of_size_one_and_of_float32_at_the_start(architecture):
    torch.manual_seed(0)
    y = Backbone(shape(architecture))(tokens().float())
    assert y.shape == (3, 19, OUTPUTS)
    assert y.dtype == torch.float32
    assert 0.3 < y.std() < 3


# --- where it begins ---


def test_the_stream_begins_with_numbers_of_size_one():
    torch.manual_seed(0)
    model = Backbone(Shape("transformer", 400, width=128))
    assert model.read_in.weight.std().item() == pytest.approx(1 / 20, rel=0.02)
    assert not model.read_in.bias.any()
    signs = torch.sign(torch.randn(2, 8, 400))
    assert model.read_in(signs).std().item() == pytest.approx(1, rel=0.1)


def test_every_linear_map_keeps_the_size_of_what_it_is_given_and_what_is_added_to_the_stream_is_smaller():
    torch.manual_seed(0)
    model = Backbone(Shape("transformer", 10, outputs=50, width=128, layers=2))
    assert model.positions.std().item() == pytest.approx(0.2, rel=0.02)
    assert model.read_out.weight.std().item() == pytest.approx(128**-0.5, rel=0.05)
    for block in model.blocks:
        assert block.mlp[0].weight.std().item() == pytest.approx(128**-0.5, rel=0.02)
        assert block.mlp[2].weight.std().item() == pytest.approx(512**-0.5 / 2, rel=0.02)
        assert block.mixer.outside.weight.std().item() == pytest.approx(128**-0.5 / 2, rel=0.03)
        assert not block.mlp[0].bias.any()
        assert not block.mlp[2].bias.any()


# --- keeping and rebuilding ---


@every_architecture
def test_a_model_is_rebuilt_from_its_shape_and_its_state(architecture):
    model, x = model_of(architecture), tokens()
    again = Backbone(Shape(**model.shape.record())).double()
    with torch.no_grad():
        assert not torch.equal(again(x), model(x))
        again.load_state_dict(model.state_dict())
        assert torch.equal(again(x), model(x))


def test_a_shape_is_recorded_in_full():
    assert shape("retnet", options={"heads": 2}).record() == {
        "architecture": "retnet", "inputs": 5, "outputs": 2, "width": 32, "layers": 3, "tokens": 24,
        "options": {"heads": 2},
    }  # fmt: skip


def test_options_go_to_the_mixers_and_over_the_architectures_own():
    assert model_of("transformer", options={"heads": 8}).blocks[0].mixer.heads == 8
    assert not model_of("retnet-reduced").blocks[0].mixer.published
    assert model_of("retnet-reduced", options={"published": True}).blocks[0].mixer.published
    negative = model_of("gated-deltanet-negative").blocks[0].mixer
    assert (negative.gated, negative.max_write) == (True, 2)
    plain = model_of("deltanet").blocks[0].mixer
    assert (plain.gated, plain.max_write) == (False, 1)


def test_an_unknown_architecture_is_an_error_that_names_the_nearest_and_the_known_ones():
    with pytest.raises(ValueError, match="unknown architecture 'mamb': did you mean 'mamba'") as error:
        Backbone(Shape("mamb", 3))
    assert all(name in str(error.value) for name in ARCHITECTURES)
    with pytest.raises(ValueError, match="unknown architecture 'rwkv': known are deltanet, "):
        Backbone(Shape("rwkv", 3))


def test_a_name_means_one_architecture():
    with pytest.raises(ValueError, match="two architectures are named 'transformer'"):
        register(Architecture("transformer", "another one", (Mamba2,)))
    assert find("transformer").mixers == (Attention,)


# --- lengths ---


@every_architecture
def test_only_mixers_that_cannot_tell_an_order_have_a_table_of_positions(architecture):
    positions = model_of(architecture).positions
    if architecture in WITH_POSITIONS:
        assert positions.shape == (LONGEST, WIDTH)
    else:
        assert positions is None


@pytest.mark.parametrize("architecture", WITH_POSITIONS)
def test_a_table_of_positions_serves_its_length_and_is_an_error_beyond(architecture):
    model = model_of(architecture)
    message = "a sequence of 25 tokens is longer than the model's table of positions, which has 24"
    with torch.no_grad():
        assert_close(model.unroll(tokens(LONGEST)), model(tokens(LONGEST)))
        with pytest.raises(ValueError, match=message):
            model(tokens(LONGEST + 1))
        with pytest.raises(ValueError, match=message):
            model.unroll(tokens(LONGEST + 1))


@pytest.mark.parametrize("architecture", ["transformer", "momentum", "momentum-learned"])
@pytest.mark.parametrize("positions", ["none", "rope", "alibi"])
def test_attention_with_other_positions_than_learned_has_no_table_and_no_bound(architecture, positions):
    model, x = model_of(architecture, {"positions": positions}), tokens(3 * LONGEST)
    assert model.positions is None
    assert model.longest is None
    with torch.no_grad():
        y = model(x)
        assert_close(y[:, :LONGEST], model(x[:, :LONGEST]))
        assert_close(model.unroll(x), y)


def test_positions_that_there_are_not_are_an_error():
    with pytest.raises(ValueError, match="positions=sinus is unknown: positions are learned, none, rope, alibi"):
        model_of("transformer", {"positions": "sinus"})


@pytest.mark.parametrize("architecture", [name for name in ARCHITECTURES if name not in BOUNDED])
def test_without_a_table_of_positions_there_is_no_bound(architecture):
    model, x = model_of(architecture), tokens(3 * LONGEST)
    with torch.no_grad():
        y = model(x)
        assert y.shape == (3, 3 * LONGEST, OUTPUTS)
        assert_close(y[:, :LONGEST], model(x[:, :LONGEST]))


def test_hyenas_filters_serve_the_models_length_and_are_an_error_beyond():
    model = model_of("hyena")
    assert model(tokens(LONGEST)).shape == (3, LONGEST, OUTPUTS)
    with pytest.raises(ValueError, match="a sequence of 25 tokens is longer than Hyena's filters, which have 24"):
        model(tokens(LONGEST + 1))
    with pytest.raises(
        ValueError, match="hyena has no option 'longest': options are order, bands, filter_width, inner"
    ):
        model_of("hyena", options={"longest": 60})
    with pytest.raises(ValueError, match="lstm has no option 'heads': options are none"):
        model_of("lstm", options={"heads": 2})


def test_the_options_are_those_of_all_mixers_as_the_architecture_has_them():
    assert find("momentum").options == {
        "heads": 4,
        "eta": 0.5,
        "learned": False,
        "per_head": False,
        "normalised": False,
        "positions": "learned",
    }
    assert find("deltanet").options == {"heads": 4, "gated": False, "negative": False}
    assert find("gated-deltanet-negative").options == {"heads": 4, "gated": True, "negative": True}
    assert find("hybrid").options == {}  # Mamba-2 has no number of heads, and attention no states


@every_architecture
def test_the_longest_sequence_is_known_from_the_shape(architecture):
    assert Backbone(shape(architecture)).longest == (LONGEST if architecture in BOUNDED else None)


# --- sizes ---


def test_the_parameters_of_a_small_transformer_are_those_counted_by_hand():
    width, inputs, outputs, longest = 8, 4, 3, 10
    read_in, read_out = inputs * width + width, width * outputs + outputs
    norm = 2 * width
    attention = (width * 3 * width + 3 * width) + (width * width + width)
    mlp = (width * 4 * width + 4 * width) + (4 * width * width + width)
    block = norm + attention + norm + mlp
    expected = read_in + longest * width + 2 * block + norm + read_out
    assert expected == 1907
    assert parameter_count(Backbone(Shape("transformer", inputs, outputs, width, 2, longest))) == expected


@every_architecture
def test_every_parameter_that_is_counted_has_a_gradient(architecture):
    model = model_of(architecture)
    used = gradients(model(tokens(LONGEST)), tuple(model.parameters()))
    assert sum(gradient.numel() for gradient in used) == parameter_count(model)
    assert all(gradient.abs().max() > 1e-9 for gradient in used)


@every_architecture
def test_a_width_brings_every_architecture_near_a_number_of_parameters(architecture, monkeypatch):
    # How many eigenvalues there are matters here, and not what they are.
    monkeypatch.setattr(state_space, "hippo_eigenvalues", lambda states: torch.full((states,), -0.5 + 1j))
    wanted = Shape(architecture, 21)
    before = torch.get_rng_state()
    width = width_for(wanted, 200_000)
    assert torch.equal(torch.get_rng_state(), before)
    assert width % 8 == 0
    assert abs(parameter_count(Backbone(Shape(architecture, 21, width=width))) / 200_000 - 1) < 0.25


@pytest.mark.parametrize("parameters", [15_000, 60_000, 1_000_000])
@pytest.mark.parametrize(("architecture", "multiple"), [("transformer", 8), ("mamba2", 16), ("gru", 5)])
def test_no_other_width_is_nearer(architecture, multiple, parameters):
    def distance(width):
        return abs(parameter_count(Backbone(Shape(architecture, 7, width=width, layers=1))) - parameters)

    best = width_for(Shape(architecture, 7, layers=1), parameters, multiple)
    assert best % multiple == 0
    assert distance(best) <= distance(best + multiple)
    assert best == multiple or distance(best) <= distance(best - multiple)


def test_a_number_of_parameters_that_is_too_small_is_an_error_that_names_the_least():
    least = parameter_count(Backbone(Shape("transformer", 21, width=8)))
    with pytest.raises(ValueError, match=f"1000 parameters are too few for transformer with 3 layers.*has {least}"):
        width_for(Shape("transformer", 21), 1000)
    assert width_for(Shape("transformer", 21), least // 2 + 1) == 8


def test_a_block_takes_any_mixer():
    block = Block(Attention(WIDTH, 1, heads=2))
    x = torch.randn(2, 6, WIDTH)
    state, outputs = block.mixer.initial_state(2), []
    for token in x.unbind(1):
        y, state = block.step(token, state)
        outputs.append(y)
    assert torch.allclose(torch.stack(outputs, 1), block(x), atol=1e-6)


@every_architecture
def test_outputs_at_every_second_token_are_those_of_all_tokens(architecture):
    model = Backbone(shape(architecture)).double()
    inputs = tokens(11)
    torch.testing.assert_close(model(inputs, every=2), model(inputs)[:, ::2], atol=1e-12, rtol=0)
