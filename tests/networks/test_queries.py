"""A trained network answers many queries behind one context as it does at that position."""

import dataclasses

import numpy as np
import pytest
import torch

from llm_icl.config.specs import Spec
from llm_icl.errors import RequestError
from llm_icl.networks.trained import TrainedNetwork
from llm_icl.tasks.cards import load_task
from llm_icl.tasks.drawing import draw_problems
from local_models.backbone import Backbone, Shape


class Untrained(TrainedNetwork):
    """A network with random weights: what is asked does not depend on what was learned."""

    def load(self):
        torch.manual_seed(0)
        return Backbone(Shape("transformer", 6, width=16, layers=2, tokens=20)).eval()


def test_queries_behind_a_context_are_answered_as_at_that_position():
    network = Untrained("net", "", "")
    problems = draw_problems(load_task(Spec("conjunction")), 5, 10, 4)
    for m in (0, 1, 6):
        contexts = dataclasses.replace(
            problems, xs=problems.xs[:, :m], ys=problems.ys[:, :m], shown=problems.shown[:, :m]
        )
        together = network.answer_queries(contexts, problems.xs[:, 6:9])
        for q in range(3):
            changed = problems.xs.copy()
            changed[:, m] = problems.xs[:, 6 + q]
            alone = network.answer(dataclasses.replace(problems, xs=changed))
            np.testing.assert_allclose(together.probability[:, q], alone.probability[:, m], atol=1e-6)
    assert together.probability.std() > 0.01


def test_a_context_that_is_too_long_is_refused():
    problems = draw_problems(load_task(Spec("conjunction")), 5, 10, 2)
    with pytest.raises(RequestError, match="at most 10 points"):
        Untrained("net", "", "").answer_queries(problems, problems.xs[:, :2])
