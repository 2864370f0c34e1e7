"""Updates of the same length: what is finetuned keeps its direction, what is random has none."""

import numpy as np
import pytest
import torch

from llm_icl.experiments.finetuning.descent import applied, finetune
from llm_icl.experiments.finetuning.projections import attention_layers
from llm_icl.experiments.finetuning.updates import as_long_as, lengths, random_update
from tests.experiments.finetuning.conftest import DEMONSTRATIONS, make_reader
from tests.experiments.finetuning.test_descent import copy_of, key_value_part


def changes(layers, finetuned):
    parameters = [parameter for layer in layers for parameter, _ in layer.trained]
    return [(new - old).detach().double() for new, old in zip(finetuned.parameters, parameters, strict=True)]


def test_an_update_made_as_long_as_another_keeps_its_direction_in_every_tensor(reader):
    layers = attention_layers(reader.model)
    first = finetune(reader, layers, DEMONSTRATIONS, 0.05)
    other = finetune(reader, layers, DEMONSTRATIONS[:1], 0.3)
    wanted = lengths(layers, first)
    assert wanted == pytest.approx([float(change.norm()) for change in changes(layers, first)])
    found = as_long_as(layers, other, wanted)
    assert lengths(layers, found) == pytest.approx(wanted, rel=1e-3)
    for a, b in zip(changes(layers, found), changes(layers, other), strict=True):
        if b.norm() > 1e-5:  # biases of keys do not change what attention does: their gradient is rounding
            assert float((a * b).sum() / a.norm() / b.norm()) == pytest.approx(1, abs=1e-4)
    whole = [np.hypot.reduce(lengths(layers, one)) for one in (first, other)]
    assert found.scale == pytest.approx(whole[0] / whole[1], rel=1e-6)
    assert found.learned == []  # nothing was seen by a model with these weights


def test_an_update_of_no_length_stays_where_it_is():
    reader = make_reader("llama")
    layers = attention_layers(reader.model)
    nothing = finetune(reader, layers, DEMONSTRATIONS, 1e-30)
    found = as_long_as(layers, nothing, [1.0] * len(lengths(layers, nothing)))
    assert lengths(layers, found) == [0.0] * len(lengths(layers, nothing))


def test_a_random_update_has_the_wanted_lengths_and_changes_keys_and_values_only(reader):
    layers = attention_layers(reader.model)
    wanted = lengths(layers, finetune(reader, layers, DEMONSTRATIONS, 0.05))
    made = random_update(layers, wanted, (1, 2))
    assert lengths(layers, made) == pytest.approx(wanted, rel=1e-3)
    family = {"gpt2": "gpt2", "gpt_neox": "neox", "phi3": "phi"}.get(reader.model.config.model_type, "")
    before = copy_of(reader.model)
    with applied(layers, made):
        after = copy_of(reader.model)
    for name, tensor in before.items():
        mine = key_value_part(family, name, tensor)
        assert torch.equal(after[name][~mine], tensor[~mine]), name


def test_random_updates_have_nothing_in_common_and_a_seed_always_gives_the_same():
    reader = make_reader("llama")
    layers = attention_layers(reader.model)
    wanted = [1.0] * sum(len(layer.trained) for layer in layers)
    one, again, other = (changes(layers, random_update(layers, wanted, seed)) for seed in ((1, 2), (1, 2), (1, 3)))
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    cosines = [float((a * b).sum()) for a, b in zip(one, other, strict=True)]
    # In tensors of 8 by 16 numbers a cosine has a standard deviation of 1 / sqrt(128).
    assert np.abs(cosines).max() < 4 / np.sqrt(128)
    together = torch.cat([change.flatten() for change in one])
    # Uniform in direction: the entries are as those of a normal distribution.
    assert float((together**4).mean() / (together**2).mean() ** 2) == pytest.approx(3, abs=0.6)
