"""Every architecture, forward and backward, in float32, in bfloat16 and compiled: the relative error of outputs and of
all gradients against float64 on the CPU, and the time.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from local_models.architectures import architectures
from local_models.backbone import Backbone, Network, Shape
from local_models.counting import flops_per_sequence
from tests.gpu.card import Card, Row, copied, difference

# The cheapest to compile first: what is left out when time is up is the last.
_QUICK = ("transformer", "momentum", "linear-attention", "retnet", "mamba2", "gated-deltanet", "s4d", "hyena", "mamba")
# So many sequences of the batch are computed on the CPU too: sequences do not depend on each other.
_CHECKED = 2


def rows(card: Card) -> Iterator[Row]:
    width, tokens, batch = (32, 40, 3) if card.toy else (256, 512, 64)
    names = _QUICK[:2] if card.toy else tuple(architectures())
    rate = card.product_rate(torch.bfloat16)
    for compiled in (False, True):
        for name in sorted(names, key=lambda name: _QUICK.index(name) if name in _QUICK else len(_QUICK)):
            torch.manual_seed(0)
            shape = Shape(name, inputs=11, outputs=width, width=width, layers=2, tokens=tokens)
            exact, inputs = Backbone(shape).double(), torch.randn(batch, tokens, shape.inputs).double()
            probe = torch.randn(batch, tokens, width).double()
            probe[_CHECKED:] = 0  # gradients are those of the sequences that are checked
            expected = _passes(exact(inputs[:_CHECKED]), probe[:_CHECKED], exact)
            flops = batch * flops_per_sequence(Backbone(shape), tokens)
            for lower in (True,) if compiled else (False, True):
                row: Row = {
                    "what": name,
                    "form": f"{'bfloat16' if lower else 'float32'}{', compiled' if compiled else ''}",
                }
                model = copied(exact, Backbone(shape), card.device)
                run = torch.compile(model) if compiled else model
                x, weights = (value.float().to(card.device) for value in (inputs, probe))
                try:
                    with card.peak(row):
                        with card.lower_precision(lower):
                            outputs = run(x)
                        found = _passes(outputs, weights, model)
                        row["output error"] = difference(found[:1], expected[:1])
                        row["gradient error"] = difference(found[1:], expected[1:])

                        def once(run=run, x=x, weights=weights, lower=lower) -> None:
                            with card.lower_precision(lower):
                                loss = (run(x) * weights).sum()
                            loss.backward()

                        seconds = card.seconds(once)
                    row |= {
                        "ms": 1e3 * seconds,
                        "TFLOP/s": flops / seconds / 1e12,
                        "of products": flops / seconds / rate,
                    }
                except Exception as problem:  # one form that fails is a row of the table, like any other finding
                    row["problem"] = f"{type(problem).__name__}: {problem}"[:200]
                yield row


def _passes(outputs: Tensor, probe: Tensor, model: Network) -> list[Tensor]:
    """The outputs of the sequences that are checked, and the gradients of all parameters."""
    (outputs * probe).sum().backward()
    gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in model.parameters()]
    return [outputs[:_CHECKED].detach(), *gradients]
