"""Every mixer against its equations, written out token by token in plain loops."""

import cmath
import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from tests.local_models.making import BATCH, LAYERS, MIXERS, TOKENS, WIDTH, assert_close, made, mixer, sequences

# Where a mixer keeps constants, such as retention's decays, as float32.
CONSTANTS = 2e-6


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


def applied(layer, x):
    """W x + b."""
    return x @ layer.weight.T + (0 if layer.bias is None else layer.bias)


def cut(x, *sizes):
    """Consecutive parts of the last dimension."""
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    assert ends[-1] == x.shape[-1]
    return [x[..., end - size : end] for end, size in zip(ends, sizes, strict=True)]


def silu(x):
    return x / (1 + torch.exp(-x))


def softplus(x):
    return torch.log(1 + torch.exp(x))


def heads_of(x, heads):
    return cut(x, *[x.shape[-1] // heads] * heads)


def root_mean_square_normed(x, eps):
    return x / ((x**2).mean(-1, keepdim=True) + eps).sqrt()


def short_convolution(layer, x):
    """y[t] = sum over j of w[j] x[t - size + 1 + j], for each channel, and nothing before the first token."""
    y = torch.zeros_like(x)
    size = layer.weight.shape[1]
    for t in range(x.shape[1]):
        for age in range(min(size, t + 1)):
            y[:, t] += layer.weight[:, size - 1 - age] * x[:, t - age]
    return y if layer.bias is None else y + layer.bias


def convolution(x, kernel):
    """y[t] = sum over s <= t of kernel[t - s] x[s], for each channel."""
    y = torch.zeros_like(x)
    for t in range(x.shape[1]):
        for s in range(t + 1):
            y[:, t] += kernel[t - s] * x[:, s]
    return y


# --- attention and momentum ---


def softmax_attention(q, k, v):
    """[B, T, d] each, and the weights [B, T, T]."""
    y, weights = torch.zeros_like(v), torch.zeros(len(q), q.shape[1], q.shape[1], dtype=q.dtype)
    for t in range(q.shape[1]):
        scores = torch.stack([(q[:, t] * k[:, i]).sum(-1) for i in range(t + 1)], -1) / math.sqrt(q.shape[-1])
        exponentials = scores.exp()
        weights[:, t, : t + 1] = exponentials / exponentials.sum(-1, keepdim=True)
        for i in range(t + 1):
            y[:, t] += weights[:, t, i : i + 1] * v[:, i]
    return y, weights


def momentum_sum(v, eta):
    """The sum over i < t of eta^(t - i) v_i."""
    y = torch.zeros_like(v)
    for t in range(v.shape[1]):
        for i in range(t):
            y[:, t] += eta ** (t - i) * v[:, i]
    return y


def filtered(v, gamma, delta, width):
    """The sum over i <= t of D^(-1/2) (sum over n of gamma_n sigmoid(delta_n)^(t - i)) v_i, for each channel."""
    decays = 1 / (1 + torch.exp(-delta))
    kernel = [(gamma * decays**age).sum(-1) / math.sqrt(width) for age in range(v.shape[1])]
    return convolution(v, torch.stack(kernel))


def attention(model, x, added=lambda v, head: 0):
    """Attention's output, with what is added to each head's values."""
    parts = [heads_of(part, model.heads) for part in cut(applied(model.inside, x), WIDTH, WIDTH, WIDTH)]
    mixed = [softmax_attention(q, k, v)[0] + added(v, i) for i, (q, k, v) in enumerate(zip(*parts, strict=True))]
    return applied(model.outside, torch.cat(mixed, -1))


@pytest.mark.parametrize("case", ["attention", "attention, one head"])
def test_attention_is_the_softmax_of_scaled_products_over_the_past(case):
    model, x = made(case), sequences()
    assert_close(model(x), attention(model, x))


@pytest.mark.parametrize("case", ["attention", "momentum, normalised", "momentum filter"])
def test_attention_tells_its_weights_on_request(case):
    model, x = made(case), sequences()
    y, weights = model.with_weights(x)
    assert_close(y, model(x))
    q, k, v = (heads_of(part, model.heads) for part in cut(applied(model.inside, x), WIDTH, WIDTH, WIDTH))
    for head in range(model.heads):
        assert_close(weights[:, head], softmax_attention(q[head], k[head], v[head])[1])


@pytest.mark.parametrize("case", ["momentum", "momentum, normalised", "momentum, per head"])
def test_momentum_adds_the_papers_sum_over_the_earlier_values(case):
    model, x = made(case), sequences()
    eta = model.eta
    gain = (1 - eta) / eta if model.normalised else 1
    assert_close(model(x), attention(model, x, lambda v, head: gain * momentum_sum(v, eta)))


@pytest.mark.parametrize("case", ["momentum, learned", "momentum, learned per head", "momentum, learned, normalised"])
def test_learned_momentum_adds_the_same_sum_with_coefficients_from_its_logits(case):
    model, x = made(case), sequences()
    etas = [1 / (1 + math.exp(-logit)) for logit in model.logit.tolist()]
    etas = etas if len(etas) > 1 else etas * model.heads
    gains = [(1 - eta) / eta if model.normalised else 1 for eta in etas]
    assert len(set(etas)) == len(model.logit)
    assert_close(model(x), attention(model, x, lambda v, head: gains[head] * momentum_sum(v, etas[head])))


@pytest.mark.parametrize("options", [{}, {"per_head": True}])
def test_learned_momentum_begins_with_the_coefficient_that_it_is_given(options):
    model = MIXERS["momentum"](WIDTH, LAYERS, eta=0.8, learned=True, **options)
    assert model.eta.tolist() == pytest.approx([0.8] * (4 if options else 1))


@pytest.mark.parametrize("case", ["momentum filter", "momentum filter, one head"])
def test_the_momentum_filter_adds_eight_decays_for_each_channel_over_the_present_and_earlier_values(case):
    model, x = made(case), sequences()
    assert model.gamma.shape == model.delta.shape == (WIDTH, 8)
    size = WIDTH // model.heads

    def added(v, head):
        own = slice(head * size, (head + 1) * size)
        return filtered(v, model.gamma[own], model.delta[own], WIDTH)

    assert_close(model(x), attention(model, x, added))


def scores_of(model, x):
    """The logarithms of the attention weights, up to a number for each query: rows begin with 0."""
    logs = model.with_weights(x)[1].log()
    return logs - logs[..., :1]


def test_rotary_positions_are_complex_turns_of_queries_and_keys():
    model, x = made("attention, rotary"), sequences()
    q, k, v = (heads_of(part, model.heads) for part in cut(applied(model.inside, x), WIDTH, WIDTH, WIDTH))
    pairs = WIDTH // model.heads // 2
    mixed = []
    for head in range(model.heads):
        turns = torch.tensor(
            [[cmath.exp(1j * t * 10000 ** (-i / pairs)) for i in range(pairs)] for t in range(TOKENS)]
        )  # fmt: skip
        complexes = [torch.view_as_complex(part[head].unflatten(-1, (-1, 2)).contiguous()) for part in (q, k)]
        turned_both = [torch.view_as_real(part * turns).flatten(-2) for part in complexes]
        mixed.append(softmax_attention(*turned_both, v[head])[0])
    assert_close(model(x), applied(model.outside, torch.cat(mixed, -1)), CONSTANTS)


def test_scores_with_rotary_positions_depend_on_tokens_and_their_distance_only():
    model = made("attention, rotary")
    token = sequences(tokens=1).expand(-1, TOKENS, -1)
    logs = model.with_weights(token)[1].log()  # the same token everywhere
    for distance in (1, 5, 20):
        relative = logs.diagonal(-distance, -2, -1) - logs.diagonal(0, -2, -1)[..., distance:]
        assert_close(relative, relative[..., :1].expand_as(relative), 1e-5)
    nearer, farther = (logs.diagonal(-d, -2, -1)[..., -1] for d in (1, 2))
    assert (nearer - farther).abs().min() > 1e-3


def test_scores_that_are_lowered_by_distance_are_so_by_the_matrix_computed_by_hand():
    model, plain, x = made("attention, lowered by distance"), mixer("attention", heads=4), sequences(tokens=3)
    for slope, lowered, usual in zip((1 / 4, 1 / 16, 1 / 64, 1 / 256), *(
        scores_of(m, x).unbind(1) for m in (model, plain)
    ), strict=True):  # fmt: skip
        # Of key s at query t, -slope (t - s), less that of key 0.
        assert_close((lowered - usual)[:, 1, 1], torch.full((BATCH,), slope).double(), 1e-6)
        assert_close((lowered - usual)[:, 2, 1:], torch.tensor([slope, 2 * slope]).double().expand(BATCH, 2), 1e-6)


@pytest.mark.parametrize(("positions", "equal"), [("none", True), ("rope", False), ("alibi", False)])
def test_the_order_of_earlier_tokens_matters_with_positions_only(positions, equal):
    model, x = mixer("attention", heads=3, positions=positions), sequences()
    order = torch.randperm(TOKENS - 1, generator=torch.Generator().manual_seed(0))
    moved = torch.cat([x[:, order], x[:, -1:]], 1)
    difference = (model(x)[:, -1] - model(moved)[:, -1]).abs().max()
    assert difference < 1e-12 if equal else difference > 1e-3


def with_equal_weights(case):
    """A model whose keys are 0, so that attention is the mean of the values so far."""
    model = made(case)
    model.inside.weight[WIDTH : 2 * WIDTH] = 0
    model.inside.bias[WIDTH : 2 * WIDTH] = 0
    return model


def test_momentum_with_keys_of_zero_is_the_mean_of_the_values_and_the_hand_sum():
    model, x = with_equal_weights("momentum"), sequences(tokens=3)
    v0, v1, v2 = applied(model.inside, x)[..., 2 * WIDTH :].unbind(1)
    expected = torch.stack([v0, (v0 + v1) / 2 + v0 / 2, (v0 + v1 + v2) / 3 + v1 / 2 + v0 / 4], 1)
    assert_close(model(x), applied(model.outside, expected))


def test_normalised_momentum_with_keys_of_zero_is_the_mean_of_the_values_and_the_hand_sum():
    model, x = with_equal_weights("momentum, normalised"), sequences(tokens=3)
    v0, v1, v2 = applied(model.inside, x)[..., 2 * WIDTH :].unbind(1)
    # eta = 0.9: the ages weigh 0.1, 0.09, …, which add up to 1.
    expected = torch.stack([v0, (v0 + v1) / 2 + 0.1 * v0, (v0 + v1 + v2) / 3 + 0.1 * v1 + 0.09 * v0], 1)
    assert_close(model(x), applied(model.outside, expected))


def test_the_momentum_filter_with_keys_of_zero_is_the_mean_of_the_values_and_the_hand_sum():
    model, x = with_equal_weights("momentum filter"), sequences(tokens=2)
    v0, v1 = applied(model.inside, x)[..., 2 * WIDTH :].unbind(1)
    now = model.gamma.sum(-1) / math.sqrt(WIDTH)
    before = (model.gamma * torch.sigmoid(model.delta)).sum(-1) / math.sqrt(WIDTH)
    expected = torch.stack([v0 + now * v0, (v0 + v1) / 2 + now * v1 + before * v0], 1)
    assert_close(model(x), applied(model.outside, expected))


# --- matrices for a state ---


@pytest.mark.parametrize("case", ["linear attention", "linear attention, one head"])
def test_linear_attention_is_the_sum_of_scaled_products_times_values(case):
    model, x = made(case), sequences()
    mixed = []
    for q, k, v in zip(*(heads_of(p, model.heads) for p in cut(applied(model.inside, x), *[WIDTH] * 3)), strict=True):
        y = torch.zeros_like(v)
        for t in range(TOKENS):
            for i in range(t + 1):
                y[:, t] += (q[:, t] * k[:, i]).sum(-1, keepdim=True) / math.sqrt(q.shape[-1]) * v[:, i]
        mixed.append(y)
    assert_close(model(x), applied(model.outside, torch.cat(mixed, -1)))


def turned(x):
    """Every pair of neighbours as one complex number, times exp(i t theta), theta from 1 to 1e-4."""
    pairs = x.shape[-1] // 2
    y = torch.zeros_like(x)
    for t in range(x.shape[1]):
        for j in range(pairs):
            factor = cmath.exp(1j * t * 10000 ** (-j / (pairs - 1)))
            a, b = x[:, t, 2 * j], x[:, t, 2 * j + 1]
            y[:, t, 2 * j] = a * factor.real - b * factor.imag
            y[:, t, 2 * j + 1] = a * factor.imag + b * factor.real
    return y


def retention(q, k, v, gamma):
    """S_t = gamma S_{t-1} + k_t v_t^T, o_t = S_t^T q_t."""
    y, state = torch.zeros_like(v), torch.zeros(len(q), q.shape[-1], v.shape[-1], dtype=q.dtype)
    for t in range(q.shape[1]):
        state = gamma * state + torch.einsum("bi,bj->bij", k[:, t], v[:, t])
        y[:, t] = torch.einsum("bij,bi->bj", state, q[:, t])
    return y


@pytest.mark.parametrize("case", ["retnet", "retnet, one head", "retnet, reduced"])
def test_retention_is_its_recurrence_with_turn_scale_norm_and_gate_or_without(case):
    model, x = made(case), sequences()
    *parts, gate = cut(applied(model.inside, x), *[WIDTH] * 4)
    mixed = []
    for head, (q, k, v) in enumerate(zip(*(heads_of(part, model.heads) for part in parts), strict=True)):
        gamma = 1 - 2.0 ** (-5 - head)
        if model.published:
            y = retention(turned(q), turned(k) / math.sqrt(q.shape[-1]), v, gamma)
            mixed.append(root_mean_square_normed(y, 1e-6))
        else:
            mixed.append(retention(q, k, v, gamma))
    assert_close(model(x), applied(model.outside, silu(gate) * torch.cat(mixed, -1)), CONSTANTS)


def test_retention_depends_on_the_distance_of_tokens_and_not_on_where_they_are():
    model, x = made("retnet"), sequences()
    x[:, :5] = 0  # no bias, so that such tokens write nothing
    assert_close(model(x)[:, 5:], model(x[:, 5:]))


@pytest.mark.parametrize("case", ["deltanet", "deltanet, gated", "deltanet, negative", "deltanet, gated, negative"])
def test_deltanet_is_its_recurrence_with_explicit_matrices(case):
    model, x = made(case), sequences()
    *mixed, gate = cut(applied(model.inside, x), *[WIDTH] * 4)
    q, k, v = cut(silu(short_convolution(model.short, torch.cat(mixed, -1))), *[WIDTH] * 3)
    rates = applied(model.rates, x)
    outputs = []
    for head in range(model.heads):
        queries, keys, values = (heads_of(part, model.heads)[head] for part in (q, k, v))
        size = queries.shape[-1]
        queries = queries / (queries**2).sum(-1, keepdim=True).sqrt() / math.sqrt(size)
        keys = keys / (keys**2).sum(-1, keepdim=True).sqrt()
        write = (2 if "negative" in case else 1) / (1 + torch.exp(-rates[..., head]))
        decay = torch.ones_like(write)
        if "gated" in case:
            step = softplus(rates[..., model.heads + head] + model.step_bias[head])
            decay = torch.exp(-torch.exp(model.log_decay[head]) * step)
        read = torch.zeros_like(values)
        for row in range(BATCH):
            state = torch.zeros(size, size, dtype=x.dtype)
            for t in range(TOKENS):
                a, b, key = decay[row, t], write[row, t], keys[row, t]
                state = a * (torch.eye(size, dtype=x.dtype) - b * torch.outer(key, key)) @ state
                state = state + b * torch.outer(key, values[row, t])
                read[row, t] = state.T @ queries[row, t]
        outputs.append(root_mean_square_normed(read, 1e-6) * model.norm.weight)
    assert_close(model(x), applied(model.outside, torch.cat(outputs, -1) * silu(gate)))


# --- state spaces ---


def continuous(model):
    """A [D or 1, N], C [D, N] and dt [D, 1]."""
    a = -torch.exp(model.log_real) + 1j * model.imaginary
    return a, model.read_out[..., 0] + 1j * model.read_out[..., 1], torch.exp(model.log_step).unsqueeze(-1)


def finished(model, x, y):
    """What comes after a state space's own sum: D u, the nonlinearity and the last map."""
    return applied(model.outside, F.gelu(y + model.direct * x))


def test_state_spaces_of_the_two_kinds_share_or_do_not_share_their_eigenvalues():
    assert continuous(made("s4d"))[0].shape == (WIDTH, 6)
    assert continuous(made("dss"))[0].shape == (1, 8)


@pytest.mark.parametrize("case", ["s4d", "dss"])
def test_a_state_space_is_the_recurrence_of_its_state_under_a_zero_order_hold(case):
    model, x = made(case), sequences()
    a, c, dt = continuous(model)
    state, y = torch.zeros(BATCH, WIDTH, a.shape[-1], dtype=torch.complex128), torch.zeros_like(x)
    for t in range(TOKENS):
        state = torch.exp(dt * a) * state + (torch.exp(dt * a) - 1) / a * x[:, t].unsqueeze(-1)
        y[:, t] = (c * state).sum(-1).real
    assert_close(model(x), finished(model, x, y))


@pytest.mark.parametrize("case", ["s4d", "dss"])
def test_a_state_space_is_the_direct_sum_with_its_kernel(case):
    model, x = made(case), sequences()
    a, c, dt = continuous(model)
    kernel = torch.stack(
        [(c * (torch.exp(dt * a) - 1) / a * torch.exp(dt * a * t)).sum(-1).real for t in range(TOKENS)]
    )
    assert_close(model.kernel(TOKENS), kernel)
    assert_close(model(x), finished(model, x, convolution(x, kernel)))


def test_a_zero_order_hold_is_the_solution_of_the_differential_equation():
    # One channel and one of its states, the input held for a token, by many small steps of the midpoint rule.
    model, x = made("s4d"), sequences(tokens=6)
    a, c, dt = continuous(model)
    a, c, dt = a[0, 3], c[0, 3], dt[0, 0] / 500
    state, y = torch.zeros(BATCH, dtype=torch.complex128), []
    for held in x[..., 0].unbind(1):
        for _ in range(500):
            middle = state + dt / 2 * (a * state + held)
            state = state + dt * (a * middle + held)
        y.append((c * state).real)
    model.read_out[0, torch.arange(6) != 3] = 0
    assert_close(convolution(x, model.kernel(6))[..., 0], torch.stack(y, 1), 1e-6)


def test_dss_with_softmax_normalises_every_row_of_its_kernel_over_the_length():
    model, x = made("dss, softmax"), sequences()
    a, w, dt = continuous(model)
    for length in (TOKENS, 20):
        kernel = torch.zeros(length, WIDTH, dtype=x.dtype)
        for channel in range(WIDTH):
            for state in range(8):
                row = [cmath.exp((a[0, state] * dt[channel, 0]).item() * t) for t in range(length)]
                share = torch.tensor(row, dtype=torch.complex128) / sum(row)
                kernel[:, channel] += (w[channel, state] / a[0, state] * share).real
        assert_close(model.kernel(length), kernel)
        assert_close(model(x[:, :length]), finished(model, x[:, :length], convolution(x[:, :length], kernel)))


def hyena_filters(model, bands):
    """For n = N … 2, [T, D] each: a network of the place times a window."""
    longest, filters = model.longest, torch.zeros(model.order - 1, TOKENS, WIDTH, dtype=torch.float64)
    frequencies = [1e-4 + (bands - 1 - 1e-4) * i / (bands - 1) if bands > 1 else 1e-4 for i in range(bands)]
    slow, fast = math.log(1e-2) / 1.5, math.log(1e-2) / 0.3
    for t in range(TOKENS):
        turns = [2 * math.pi * frequency * t / longest for frequency in frequencies]
        features = [t / (longest - 1), *map(math.cos, turns), *(-math.sin(turn) for turn in turns)]
        hidden = torch.tensor(features, dtype=torch.float64)
        for layer in model.hidden:
            hidden = torch.sin(model.frequency * applied(layer, hidden))
        taps = applied(model.last, hidden)
        for n in range(model.order - 1):
            for channel in range(WIDTH):
                rate = abs(slow + (fast - slow) * channel / (WIDTH - 1))
                filters[n, t, channel] = taps[n * WIDTH + channel] * math.exp(-t / (longest - 1) * rate)
    return filters


@pytest.mark.parametrize(("case", "bands"), [("hyena", 1), ("hyena, order 3", 4)])
def test_hyenas_filters_are_a_network_of_the_place_times_a_window(case, bands):
    model = made(case)
    assert_close(model.filters(TOKENS), hyena_filters(model, bands), CONSTANTS)


def test_hyena_of_order_2_is_its_direct_sum():
    model, x = made("hyena"), sequences()
    v, x1, x2 = cut(short_convolution(model.short, applied(model.inside, x)), *[WIDTH] * 3)
    (h2,), (b2,) = hyena_filters(model, 1), model.bias
    v = convolution(v * x2, h2) + b2 * v * x2
    assert_close(model(x), applied(model.outside, v * x1), CONSTANTS)


def test_hyena_of_order_3_is_its_direct_sum():
    model, x = made("hyena, order 3"), sequences()
    v, x1, x2, x3 = cut(short_convolution(model.short, applied(model.inside, x)), *[WIDTH] * 4)
    (h3, h2), (b3, b2) = hyena_filters(model, 4), model.bias
    v = convolution(v * x3, h3) + b3 * v * x3
    v = convolution(v * x2, h2) + b2 * v * x2
    assert_close(model(x), applied(model.outside, v * x1), CONSTANTS)


@pytest.mark.parametrize(("case", "inner", "states"), [("mamba", 2 * WIDTH, 5), ("mamba, narrow", WIDTH, 3)])
def test_mamba_is_its_recurrence(case, inner, states):
    model, x = made(case), sequences()
    u, gate = cut(applied(model.inside, x), inner, inner)
    u = silu(short_convolution(model.short, u))
    low, write, read = cut(u @ model.select.weight.T, 2, states, states)  # 24 / 16, rounded up, is 2
    dt = softplus(low @ model.step_weight.T + model.step_bias)
    a = -torch.exp(model.log_decay)
    h, y = torch.zeros(BATCH, inner, states, dtype=x.dtype), torch.zeros_like(u)
    for t in range(TOKENS):
        for n in range(states):
            h[..., n] = torch.exp(dt[:, t] * a[:, n]) * h[..., n] + dt[:, t] * u[:, t] * write[:, t, n : n + 1]
            y[:, t] += read[:, t, n : n + 1] * h[..., n]
    y = y + model.direct * u
    assert_close(model(x), applied(model.outside, y * silu(gate)))


@pytest.mark.parametrize(("case", "heads", "states"), [("mamba2", 3, 10), ("mamba2, one head", 1, 6)])
def test_mamba2_is_its_recurrence(case, heads, states):
    model, x = made(case), sequences()
    inner = 2 * WIDTH
    gate, mixed, steps = cut(applied(model.inside, x), inner, inner + 2 * states, heads)
    u, write, read = cut(silu(short_convolution(model.short, mixed)), inner, states, states)
    outputs = []
    for head, own in enumerate(heads_of(u, heads)):
        dt = softplus(steps[..., head] + model.step_bias[head])
        state, y = torch.zeros(BATCH, states, inner // heads, dtype=x.dtype), torch.zeros_like(own)
        for t in range(TOKENS):
            decay = torch.exp(-torch.exp(model.log_decay[head]) * dt[:, t]).reshape(-1, 1, 1)
            state = decay * state + torch.einsum("bn,bp->bnp", write[:, t], dt[:, t, None] * own[:, t])
            y[:, t] = torch.einsum("bnp,bn->bp", state, read[:, t]) + model.direct[head] * own[:, t]
        outputs.append(y)
    normed = root_mean_square_normed(torch.cat(outputs, -1) * silu(gate), 1e-5) * model.norm.weight
    assert_close(model(x), applied(model.outside, normed))


# --- those that torch has ---


def gated_parts(model, token, hidden, count):
    """W x + b and U h + c, in `count` parts each."""
    cell = model.cell
    from_token = token @ cell.weight_ih_l0.T + cell.bias_ih_l0
    from_hidden = hidden @ cell.weight_hh_l0.T + cell.bias_hh_l0
    return cut(from_token, *[WIDTH] * count), cut(from_hidden, *[WIDTH] * count)


def test_the_lstm_is_torchs_with_a_projection():
    model, x = mixer("lstm"), sequences()
    hidden, cell, y = torch.zeros(BATCH, WIDTH).double(), torch.zeros(BATCH, WIDTH).double(), []
    for token in x.unbind(1):
        parts = [a + b for a, b in zip(*gated_parts(model, token, hidden, 4), strict=True)]
        write, keep, new, show = parts
        cell = keep.sigmoid() * cell + write.sigmoid() * new.tanh()
        hidden = show.sigmoid() * cell.tanh()
        y.append(hidden)
    assert_close(model(x), applied(model.outside, torch.stack(y, 1)))


def test_the_gru_is_torchs_with_a_projection():
    model, x = mixer("gru"), sequences()
    hidden, y = torch.zeros(BATCH, WIDTH).double(), []
    for token in x.unbind(1):
        (r, z, n), (hr, hz, hn) = gated_parts(model, token, hidden, 3)
        keep = (z + hz).sigmoid()
        hidden = (1 - keep) * (n + (r + hr).sigmoid() * hn).tanh() + keep * hidden
        y.append(hidden)
    assert_close(model(x), applied(model.outside, torch.stack(y, 1)))
