"""Features are what their names say, by plain loops."""

import numpy as np

from llm_icl.analysis.identification.features import describe, feature_names


def plain(xs, labels, query):
    n, m = len(query), len(xs)
    signs = [2 * y - 1 for y in labels]
    distances = [sum(a != b for a, b in zip(x, query, strict=True)) for x in xs]
    found = []
    for d in range(n + 1):
        found.append(sum(s for s, e in zip(signs, distances, strict=True) if e == d) / m**0.5)
        found.append(sum(e == d for e in distances) / m**0.5)
    votes = [sum(s for s, x in zip(signs, xs, strict=True) if x[j] == query[j]) / m**0.5 for j in range(n)]
    shares = []
    for j in range(n):
        same = [y for y, x in zip(labels, xs, strict=True) if x[j] == query[j]]
        shares.append((sum(same) + 0.5) / (len(same) + 1))
    found += [*votes, max(votes), min(votes), max(shares), min(shares), *query, sum(query)]
    for back in (1, 2, 3):
        sign, d = (signs[-back], distances[-back] - n / 2) if back <= m else (0, 0)
        found += [sign, d, sign * d]
    return [*found, signs[0], signs[0] * (distances[0] - n / 2), min(distances), sum(signs) / m]


def test_features_are_as_their_plain_loops():
    random = np.random.default_rng(0)
    for m in (1, 2, 7):
        xs, labels = random.integers(0, 2, (3, m, 4), dtype=np.uint8), random.integers(0, 2, (3, m), dtype=np.uint8)
        queries = random.integers(0, 2, (3, 5, 4), dtype=np.uint8)
        found = describe(xs, labels, queries)
        assert found.shape[-1] == len(feature_names(4))
        for c in range(3):
            for q in range(5):
                expected = plain(xs[c].tolist(), labels[c].tolist(), queries[c, q].tolist())
                np.testing.assert_allclose(found[c, q], expected)
