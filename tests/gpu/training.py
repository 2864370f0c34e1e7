"""Training steps as `llm-icl train` makes them: loss and gradient of the first sequences against float64 on the CPU,
steps a second in float32, in bfloat16 and compiled, and the time to draw a batch on the CPU, in steps.
"""

import time
from collections.abc import Iterator

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from llm_icl.experiments.training.experiment import Training
from llm_icl.experiments.training.options import TrainingOptions
from local_models.backbone import Backbone, Network
from local_models.counting import flops_per_sequence
from local_models.optimisers import optimisers_for
from local_models.sequence import POINT, tokens_of
from local_models.trainer import Batch
from tests.gpu.card import Card, Row, copied, difference

# So many sequences of a batch are computed on the CPU too.
_CHECKED = 8


def rows(card: Card) -> Iterator[Row]:
    shapes = [(2, 32, 8)] if card.toy else [(3, 64, 64), (6, 128, 64), (12, 512, 256)]
    rate = card.product_rate(torch.bfloat16)
    for layers, width, size in shapes:
        request = Training.of(
            TrainingOptions(
                task=("conjunction",), n=10, points=10 if card.toy else 40, batch_size=size, layers=layers, width=width
            )
        ).request
        torch.manual_seed(0)
        batch = request.batches(0)
        began = time.perf_counter()
        request.batches(1)
        drawing = time.perf_counter() - began
        exact = Backbone(request.shape).double()
        some = Batch(*(each[:_CHECKED] for each in (batch.xs, batch.shown, batch.truth)))
        expected = _gradients(exact, _loss(exact, some))
        flops = size * flops_per_sequence(Backbone(request.shape), 2 * request.points)
        for optimiser in ("adamw", "muon"):
            for form in ("float32", "bfloat16", "bfloat16, compiled"):
                model = copied(exact, Backbone(request.shape), card.device)
                run = torch.compile(model) if "compiled" in form else model
                row: Row = {"what": f"{layers} x {width}, batch {size}, {optimiser}", "form": form}
                on_card, lower = batch.to(card.device), form != "float32"
                with card.lower_precision(lower):
                    loss = _loss(run, on_card, _CHECKED)
                found = _gradients(model, loss)
                row |= {
                    "loss error": difference(found[:1], expected[:1]),
                    "gradient error": difference(found[1:], expected[1:]),
                }
                optimisers = optimisers_for(model, optimiser, 1e-4)

                def step(run=run, lower=lower, on_card=on_card, optimisers=optimisers, model=model) -> None:
                    with card.lower_precision(lower):
                        loss = _loss(run, on_card)
                    model.zero_grad(set_to_none=True)
                    loss.backward()
                    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                    for each in optimisers:
                        each.step()

                with card.peak(row):
                    seconds = card.seconds(step, 0.5)
                row |= {"steps/s": 1 / seconds, "tokens/s": size * 2 * request.points / seconds,
                        "of products": flops / seconds / rate, "drawing / step": drawing / seconds}  # fmt: skip
                yield row


def _loss(model: Network, batch: Batch, first: int | None = None) -> Tensor:
    """The loss over the first sequences of a batch; all are computed."""
    dtype = next(model.parameters()).dtype
    tokens = tokens_of(batch.xs, batch.shown, batch.xs.shape[-1] + 1).to(dtype)  # (B, 2m, inputs)
    found = model(tokens, every=POINT)[:first, :, 0].to(dtype)  # (B, m)
    return F.binary_cross_entropy_with_logits(found, batch.truth[:first].to(dtype))


def _gradients(model: Network, loss: Tensor) -> list[Tensor]:
    """The loss, and the gradients of all parameters."""
    model.zero_grad(set_to_none=True)
    loss.backward()
    return [loss.detach(), *(p.grad if p.grad is not None else torch.zeros_like(p) for p in model.parameters())]
