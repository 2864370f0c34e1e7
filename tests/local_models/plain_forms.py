"""Linear recurrences token by token and with all tokens at once: what their chunked forms must equal."""

import torch


def decayed_sums(q, k, v, log_decay):
    """S_t = a_t S_{t-1} + k_t v_t^T, y_t = S_t^T q_t."""
    a = log_decay.exp().expand(v.shape[:-1])
    state, y = torch.zeros(*v.shape[:2], q.shape[-1], v.shape[-1], dtype=v.dtype), []
    for t in range(v.shape[2]):
        state = a[:, :, t, None, None] * state + k[:, :, t, :, None] * v[:, :, t, None, :]
        y.append((q[:, :, t, None, :] @ state).squeeze(-2))
    return torch.stack(y, 2)


def delta_rule(q, k, v, write, log_decay):
    """S_t = a_t (1 - b_t k_t k_t^T) S_{t-1} + b_t k_t v_t^T, y_t = S_t^T q_t."""
    state, y = torch.zeros(*v.shape[:2], q.shape[-1], v.shape[-1], dtype=v.dtype), []
    for t in range(v.shape[2]):
        a, b = log_decay[:, :, t, None, None].exp(), write[:, :, t, None, None]
        key, value = k[:, :, t, :, None], v[:, :, t, None, :]
        state = a * (state - b * key @ (key.mT @ state)) + b * key @ value
        y.append((q[:, :, t, None, :] @ state).squeeze(-2))
    return torch.stack(y, 2)


def parallel_decayed_sums(q, k, v, log_decay):
    return (mask(log_decay) * (q @ k.mT)) @ v


def parallel_delta_rule(q, k, v, write, log_decay):
    """The updates of all tokens solve one triangular system."""
    decay = mask(log_decay)
    overlap = write.unsqueeze(-1) * (decay * (k @ k.mT)).tril(-1)
    system = torch.eye(v.shape[2], dtype=v.dtype) + overlap
    new = torch.linalg.solve_triangular(system, write.unsqueeze(-1) * v, upper=False)
    return (decay * (q @ k.mT)) @ new


def mask(log_decay):
    """exp of the sum of log a over (s, t], for s <= t."""
    total = log_decay.cumsum(-1)
    difference = total.unsqueeze(-1) - total.unsqueeze(-2)
    past = torch.ones(difference.shape[-2:], dtype=torch.bool).tril()
    return torch.where(past, difference, -torch.inf).exp()


def selective_scan(x, step, rate, write, read):
    """h_t = exp(-dt_t A) h_{t-1} + dt_t x_t B_t, y_t = h_t C_t."""
    state, y = torch.zeros(len(x), *rate.shape, dtype=x.dtype), []
    decay, drive = torch.exp(-step.unsqueeze(-1) * rate), (step * x).unsqueeze(-1) * write.unsqueeze(2)
    for a, b, c in zip(decay.unbind(1), drive.unbind(1), read.unbind(1), strict=True):
        state = torch.addcmul(b, a, state)
        y.append((state @ c.unsqueeze(-1)).squeeze(-1))
    return torch.stack(y, 1)


def exponential_sums(weights, exponents, length):
    """K_t = Re sum over n of w_n exp(t z_n), from the whole table."""
    powers = torch.exp(exponents * torch.arange(length).reshape(-1, 1, 1))  # (T, D, N)
    return (weights * powers).sum(-1).real


def causal_convolution(x, kernel):
    """y_t = sum over s <= t of kernel_(t-s) x_s, by an FFT of twice the length."""
    length = x.shape[1]
    spectrum = torch.fft.rfft(x, n=2 * length, dim=1) * torch.fft.rfft(kernel, n=2 * length, dim=0)
    return torch.fft.irfft(spectrum, n=2 * length, dim=1)[:, :length]
