"""Induction and nearest-neighbour scores of the attention heads of networks and language models."""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from llm_icl.analysis.intervals import proportion
from llm_icl.backends import ModelEntry
from llm_icl.backends.base import LocalModel, backend_with_weights
from llm_icl.errors import RequestError, WorkError
from llm_icl.experiments.probing.heads import mass, nearest_points, uniform_mass
from llm_icl.experiments.probing.request import ProbeRequest
from llm_icl.networks.trained import TrainedNetwork
from llm_icl.problems import Problems
from llm_icl.progress import OnProgress
from llm_icl.prompting.templates import Prompt
from llm_icl.tasks.drawing import draw_problems

SCORES = ("induction", "nearest-neighbour")


@dataclass(frozen=True)
class Seen:
    """One problem as seen by a model: the attention weights (H, T, T) by layer, and the positions of the tokens
    at which labels are predicted and of the labels' tokens, (m,) each.
    """

    weights: dict[int, NDArray[np.float64]]
    queries: NDArray[np.int64]
    labels: NDArray[np.int64]


Look = Callable[[Problems, int], Seen]


def check(request: ProbeRequest) -> None:
    """Raise RequestError for a network without attention heads, if the problems are too long, and for a model whose
    backend does not expose attention.
    """
    for entry in request.models:
        backend_with_weights(entry)
    for network in request.trained:
        if refusal := network.refusal(request.task, request.n, request.points):
            raise RequestError(refusal)
        problem = draw_problems(request.task, request.n, request.points, 1, request.seed)
        if not _network(network)(problem, 0).weights:
            raise RequestError(f"{network.name} has no attention heads to probe")


def probe(request: ProbeRequest, on_progress: OnProgress) -> pl.DataFrame:
    """One row for each model, score, layer and head: value with its 95 % interval over problems, and the score of
    uniform attention. Raises RequestError for a model without heads, or if the problems are too long, and WorkError if
    attention weights are not finite.
    """
    rows = []
    drawn = draw_problems(request.task, request.n, request.points, request.problems, request.seed)
    several = request.points // request.copies
    repeated = _repeated(drawn, several, request.copies)
    whole = 2 * len(drawn)
    for name, look in _lookers(request):
        for number, (score, problems) in enumerate(zip(SCORES, (repeated, drawn), strict=True)):
            found: dict[int, list[NDArray[np.float64]]] = {}
            uniform = []
            for i in range(len(problems)):
                on_progress(f"{name}: {score}", number * len(problems) + i, whole)
                start = several if score == "induction" else request.points // 2
                targets = nearest_points(problems.xs[i], start)
                seen = look(problems, i)
                if not seen.weights:
                    raise RequestError(f"{name} has no attention heads to probe")
                for layer, weights in seen.weights.items():
                    if not np.isfinite(weights).all():
                        raise WorkError(f"{name}: the attention weights of layer {layer} are not finite")
                    found.setdefault(layer, []).append(mass(weights, seen.queries, seen.labels, targets))
                uniform.append(uniform_mass(seen.queries, targets))
            for layer, values in found.items():
                for head, of_head in enumerate(np.stack(values, axis=1)):  # (H, N)
                    share = proportion(of_head, np.ones(len(of_head)))  # of attention, over problems
                    rows.append((name, score, layer, head, *share, float(np.mean(uniform))))
    columns = ("model", "score", "layer", "head", "value", "low", "high", "uniform")
    return pl.DataFrame(rows, schema=columns, orient="row")


def _repeated(problems: Problems, points: int, copies: int) -> Problems:
    """The first points of each problem, repeated."""
    times = (1, copies)
    return dataclasses.replace(
        problems,
        xs=np.tile(problems.xs[:, :points], (*times, 1)),  # (N, copies points, n)
        ys=np.tile(problems.ys[:, :points], times),
        shown=np.tile(problems.shown[:, :points], times),
    )


def _lookers(request: ProbeRequest) -> Iterator[tuple[str, Look]]:
    for network in request.trained:
        yield network.name, _network(network)
    for entry in request.models:
        yield entry.name, _language_model(entry, request.prompt)


def _network(network: TrainedNetwork) -> Look:
    import torch

    from local_models.sequence import tokens_of

    model = network.load()

    def look(problems: Problems, i: int) -> Seen:
        xs, shown = torch.from_numpy(problems.xs[i : i + 1]), torch.from_numpy(problems.shown[i : i + 1])
        with torch.no_grad():
            found = model.attention(tokens_of(xs, shown, model.shape.inputs))
        weights = {layer: one[0].double().numpy() for layer, one in found.items()}  # of (1, H, T, T): (H, T, T)
        queries = 2 * np.arange(problems.points)
        return Seen(weights, queries, queries + 1)

    return look


def _language_model(entry: ModelEntry, prompt: Prompt) -> Look:
    from llm_icl.prompting.layout import CannotScoreError, curve_of, label_gap

    model = backend_with_weights(entry)(entry)
    assert isinstance(model, LocalModel)

    def look(problems: Problems, i: int) -> Seen:
        positions = range(problems.points)
        try:
            gap = label_gap(prompt, problems, model.as_text)
            curve = curve_of(prompt, problems, i, positions, gap, model.as_text, model.tokenize)
        except CannotScoreError as problem:
            raise RequestError(f"{entry.name}: {problem}") from None
        if len(curve.tokens) > model.context_length:
            raise RequestError(
                f"{entry.name} cannot fit {problems.points} points into its context: give fewer --points"
            )
        weights = {layer: one.double().numpy() for layer, one in model.attention(curve.tokens).items()}  # (H, T, T)
        ends = np.array(curve.ends)
        return Seen(weights, ends - 1, ends)

    return look
