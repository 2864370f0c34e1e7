"""The GPT-2 with momentum attention: loss and gradient against float64 on the CPU, and training steps a second."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from local_models.momentum_gpt import MomentumGPT, MomentumGPTConfig
from tests.gpu.card import Card, Row, copied, difference

# So many sequences of a batch are computed on the CPU too.
_CHECKED = 2


def rows(card: Card) -> Iterator[Row]:
    layers, width, tokens, batch = (2, 32, 16, 2) if card.toy else (6, 384, 256, 32)
    rate = card.product_rate(torch.bfloat16)
    for learned in (False, True):
        config = MomentumGPTConfig(
            vocab_size=512, n_positions=tokens, n_embd=width, n_layer=layers, n_head=4, learned=learned,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, use_cache=False,
        )  # fmt: skip
        torch.manual_seed(0)
        exact = MomentumGPT(config).double().train()
        text = torch.randint(512, (batch, tokens + 1))
        expected = _gradients(exact, _loss(exact, text[:_CHECKED]))
        for form in ("float32", "bfloat16", "bfloat16, compiled"):
            model = copied(exact, MomentumGPT(config), card.device).train()
            run, ids = (torch.compile(model) if "compiled" in form else model), text.to(card.device)
            row: Row = {"what": "learned filter" if learned else "momentum", "form": form}
            with card.lower_precision(form != "float32"):
                loss = _loss(run, ids, _CHECKED)
            found = _gradients(model, loss)
            row |= {
                "loss error": difference(found[:1], expected[:1]),
                "gradient error": difference(found[1:], expected[1:]),
            }
            with FlopCounterMode(display=False) as counter:
                _loss(model, ids).backward()
            adam = torch.optim.Adam(model.parameters(), lr=1e-5, fused=True)

            def step(run=run, ids=ids, adam=adam, lower=form != "float32") -> None:
                with card.lower_precision(lower):
                    loss = _loss(run, ids)
                adam.zero_grad(set_to_none=True)
                loss.backward()
                adam.step()

            try:
                with card.peak(row):
                    seconds = card.seconds(step)
                row |= {"steps/s": 1 / seconds, "tokens/s": batch * tokens / seconds,
                        "of products": counter.get_total_flops() / seconds / rate}  # fmt: skip
            except Exception as problem:  # one form that fails is a row of the table
                row["problem"] = f"{type(problem).__name__}: {problem}"[:200]
            yield row


def _loss(model: nn.Module, ids: Tensor, first: int | None = None) -> Tensor:
    """The loss over the first sequences of a batch; all are computed."""
    logits = model(input_ids=ids[:, :-1], use_cache=False).logits[:first]  # (B, T, vocabulary)
    logits = logits if logits.dtype == torch.float64 else logits.float()
    return F.cross_entropy(logits.flatten(0, 1), ids[:first, 1:].flatten())


def _gradients(model: nn.Module, loss: Tensor) -> list[Tensor]:
    """The loss, and the gradients of all parameters."""
    model.zero_grad(set_to_none=True)
    loss.backward()
    return [loss.detach(), *(p.grad if p.grad is not None else torch.zeros_like(p) for p in model.parameters())]
