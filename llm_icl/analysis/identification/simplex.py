"""Maximum likelihood on the simplex: weights of a mixture whose components are known."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_STEPS = 60
_SMALL = 1e-12


def maximise(components: Floats, counts: Floats) -> Floats:
    """The weights w (D,) ≥ 0, Σ w = 1, that maximise Σ counts log(components @ w), of components (N, D), counts (N,).

    Newton's method: each step is a non-negative least-squares problem (without the constraint on the sum, which the
    term -Σ counts Σ w enforces at the maximum), with a line search. The problem is convex.
    """
    from scipy.optimize import nnls

    used = counts > 0
    components, counts = components[used], counts[used]
    total, size = counts.sum(), components.shape[1]
    weights = np.full(size, 1 / size)
    mixed = components @ weights
    value = counts @ np.log(mixed) - total * weights.sum()
    for _ in range(_STEPS):
        gradient = components.T @ (counts / mixed) - total
        curvature = (components * (counts / mixed**2)[:, None]).T @ components
        curvature += 1e-10 * np.trace(curvature) * np.eye(size)
        root = np.linalg.cholesky(curvature)
        wanted, _ = nnls(root.T, np.linalg.solve(root, curvature @ weights + gradient))
        direction, step = wanted - weights, 1.0
        while step > _SMALL:
            new = weights + step * direction
            new_mixed = components @ new
            if (new_mixed > 0).all():
                new_value = counts @ np.log(new_mixed) - total * new.sum()
                if new_value >= value:
                    break
            step /= 2
        else:
            break
        gained, weights, mixed, value = new_value - value, new, new_mixed, new_value
        if gained < 1e-9 * total:
            break
    return weights / weights.sum()
