"""Training steps a processor second (transformer, 6 layers, width 128, batch 64, 40 points, n = 10) against the
straightforward way: Hugging Face's GPT-2 blocks of the same size with problems drawn one by one in Python; the bar is
1.5. Beside it the part that drawing takes, and the FLOPs a second as a part of those of a large float32 matrix product.
One thread, taken by turns, medians.
"""

import random
import time

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from llm_icl.experiments.training.experiment import Training
from llm_icl.experiments.training.options import TrainingOptions
from local_models.backbone import Backbone, parameter_count
from local_models.counting import flops_per_sequence
from local_models.optimisers import optimisers_for
from local_models.sequence import tokens_of
from local_models.trainer import Batch, has_bfloat16, one_step
from tests.benchmarks.timing import by_turns, show

N, POINTS, BATCH, LAYERS, WIDTH = 10, 40, 64, 6, 128
_ROUNDS = 7


def run() -> None:
    torch.set_num_threads(1)
    options = TrainingOptions(task=("conjunction",), n=N, points=POINTS, batch_size=BATCH, layers=LAYERS, width=WIDTH)
    request = Training.of(options).request
    ways = {
        "llm-icl, AdamW": _ours(request, "adamw"),
        "llm-icl, Muon": _ours(request, "muon"),
        "GPT-2 blocks, Python sampling": plain(LAYERS, WIDTH),
    }
    if has_bfloat16():
        ways |= {f"llm-icl, {name}, bfloat16": _ours(request, name.lower(), True) for name in ("AdamW", "Muon")}
    square = torch.randn(1024, 1024)
    work = {name: (lambda learn=learn, draw=draw: learn(draw())) for name, (_, learn, draw) in ways.items()}
    draws = {f"drawing: {name}": draw for name, (_, _, draw) in ways.items()}
    times = by_turns({**work, **draws, "product": lambda: square @ square}, _ROUNDS, time.process_time)
    rate = 2 * 1024**3 / times["product"]
    flops = BATCH * flops_per_sequence(Backbone(request.shape), 2 * POINTS)
    slowest = times["GPT-2 blocks, Python sampling"]
    rows: list[list[object]] = [
        [name, parameter_count(model), 1 / times[name], times[f"drawing: {name}"] / times[name], slowest / times[name],
         flops / times[name] / rate]
        for name, (model, _, _) in ways.items()
    ]  # fmt: skip
    show(rows, ["way", "parameters", "steps/s", "drawing, share", "ratio", "of products"])
    print(f"matrix products: {rate / 1e9:.0f} GFLOP/s")


def _ours(request, optimiser, lower=False):
    """A model, how it learns from a batch, and how a batch is drawn."""
    model = Backbone(request.shape)
    optimisers = optimisers_for(model, optimiser, 1e-3)
    return model, lambda batch: one_step(model, optimisers, batch, 1.0, lower), lambda: request.batches(0)


def plain(layers, width):
    """As the code of Bhattamishra et al. 2024 does it: a loop over problems and points, and a GPT-2 with its table of
    words, of which nothing is used.
    """
    from transformers import GPT2Config, GPT2Model

    class Plain(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            config = GPT2Config(n_positions=2 * POINTS, n_embd=width, n_layer=layers, n_head=4, vocab_size=1,
                                resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, use_cache=False)  # fmt: skip
            self.read_in, self.blocks = torch.nn.Linear(N + 1, width), GPT2Model(config)
            self.read_out = torch.nn.Linear(width, 1)

        def forward(self, batch: Batch) -> torch.Tensor:
            x = self.read_in(tokens_of(batch.xs, batch.shown, N + 1))
            return self.read_out(self.blocks(inputs_embeds=x).last_hidden_state)[:, ::2, 0]

    def draw() -> Batch:
        xs, ys = [], []
        for _ in range(BATCH):
            literals = random.choices((0, 1, -1), (0.7, 0.15, 0.15), k=N)
            for _ in range(POINTS):
                x = [random.randint(0, 1) for _ in range(N)]
                if random.random() < 0.3:
                    x = [(bit, 1, 0)[literal] for bit, literal in zip(x, literals, strict=True)]
                xs.append(x)
                ys.append(int(all(bit == (bit, 1, 0)[literal] for bit, literal in zip(x, literals, strict=True))))
        truth = torch.tensor(ys).reshape(BATCH, POINTS)
        return Batch(torch.tensor(xs).reshape(BATCH, POINTS, N), truth, truth)

    model = Plain()
    adam = torch.optim.Adam(model.parameters(), lr=1e-4)

    def learn(batch: Batch) -> None:
        loss = binary_cross_entropy_with_logits(model(batch), batch.truth.float())
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()

    return model, learn, draw
