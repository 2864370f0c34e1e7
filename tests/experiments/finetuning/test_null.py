"""Where nothing is learned, no similarity is claimed; a small part of tests/simulations/finetuning.py."""

from llm_icl.experiments.finetuning.effects import effects
from llm_icl.experiments.finetuning.methods import CONTROLS, RANDOM
from tests.simulations.finetuning import claims, simulated


def test_random_updates_in_the_place_of_finetuning_are_not_called_similar():
    found = [simulated(number, queries=8) for number in range(3)]
    for compared in found:
        assert {against for _, against in effects(compared)} == {RANDOM, *CONTROLS}
    told = [claims(compared) for compared in found]
    assert not any(claim for one in told for claim, _ in one.values())
    # As the only comparison, 2.5 % would claim it: 2 of 87.
    alone = [claim for one in told for _, claim in one.values()]
    assert len(alone) == 3 * (9 + 4 * len(CONTROLS))
    assert sum(alone) <= 8
