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
    for u, dt, b, c in zip(*(part.unbind(1) for part in (x, step, write, read)), strict=True):
        state = torch.exp(-dt.unsqueeze(-1) * rate) * state + (dt * u).unsqueeze(-1) * b.unsqueeze(1)
        y.append((state @ c.unsqueeze(-1)).squeeze(-1))
    return torch.stack(y, 1)
