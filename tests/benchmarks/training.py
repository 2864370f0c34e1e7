"""Training steps a second (transformer, 6 layers, width 128, batch 64, 40 points, n = 10) against the straightforward
way: Hugging Face's GPT-2 blocks of the same size with problems drawn one by one in Python; the bar is 1.5. The part
that drawing takes stands beside it. One thread.
"""

import random

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from llm_icl.training_options import TrainingOptions
from local_models.backbone import Backbone, parameter_count
from local_models.optimisers import optimisers_for
from local_models.sequence import at_points, tokens_of
from local_models.trainer import Batch, logits
from tests.benchmarks.timing import best, show

N, POINTS, BATCH, LAYERS, WIDTH = 10, 40, 64, 6, 128
_STEPS = 3


def run() -> None:
    torch.set_num_threads(1)
    request = TrainingOptions(
        ("conjunction",), n=N, points=POINTS, batch_size=BATCH, layers=LAYERS, width=WIDTH
    ).request()
    rows = []
    for name, model, optimiser, draw, forward in (
        ("llm-icl, AdamW", *_ours(request, "adamw")),
        ("llm-icl, Muon", *_ours(request, "muon")),
        ("GPT-2 blocks, Python sampling", *_plain()),
    ):
        step = _step(model, optimiser, draw, forward)
        step()  # warm
        time = best(step, _STEPS)
        rows.append([name, parameter_count(model), 1 / time, best(draw, _STEPS) / time])
    slowest = rows[-1][2]
    show([[*row, row[2] / slowest] for row in rows], ["way", "parameters", "steps/s", "drawing, share", "ratio"])


def _ours(request, optimiser):
    model = Backbone(request.shape)
    return model, optimisers_for(model, optimiser, 1e-3), lambda: request.batches(0), logits


def _plain():
    """As the code of Bhattamishra et al. 2024 does it: a loop over problems and points, and a GPT-2 with its table of
    words, of which nothing is used.
    """
    from transformers import GPT2Config, GPT2Model

    class Plain(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            config = GPT2Config(n_positions=2 * POINTS, n_embd=WIDTH, n_layer=LAYERS, n_head=4, vocab_size=1,
                                resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, use_cache=False)  # fmt: skip
            self.read_in, self.blocks = torch.nn.Linear(N + 1, WIDTH), GPT2Model(config)
            self.read_out = torch.nn.Linear(WIDTH, 1)

        def forward(self, batch: Batch) -> torch.Tensor:
            x = self.read_in(tokens_of(batch.xs, batch.shown, N + 1))
            return at_points(self.read_out(self.blocks(inputs_embeds=x).last_hidden_state))

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
    return model, [torch.optim.Adam(model.parameters(), lr=1e-4)], draw, lambda model, batch: model(batch)


def _step(model, optimisers, draw, forward):
    def step() -> None:
        batch = draw()
        loss = binary_cross_entropy_with_logits(forward(model, batch), batch.truth.float())
        model.zero_grad(set_to_none=True)
        loss.backward()
        for optimiser in optimisers:
            optimiser.step()

    return step
