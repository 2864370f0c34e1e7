"""What is measured of one model: the nulls, and what is not defined."""

import numpy as np
import pytest
from transformers import AutoModelForCausalLM, Gemma2Config, GraniteConfig, LlamaConfig

from llm_icl.errors import RequestError
from llm_icl.experiments.finetuning.descent import applied, finetune, looked_at
from llm_icl.experiments.finetuning.layer_causal import LayerCausal
from llm_icl.experiments.finetuning.measures import KENDALL, MEASURES, TOP_DEMONSTRATIONS, TOP_TOKENS
from llm_icl.experiments.finetuning.projections import attention_layers
from llm_icl.experiments.finetuning.published import LEARNING_RATE, PUBLISHED, RECOVERY
from llm_icl.experiments.finetuning.study import Finetuning, study
from llm_icl.experiments.finetuning.text_tasks import Example
from tests.experiments.finetuning.conftest import CONFIGS, DEMONSTRATIONS, NARROW, QUERIES, SIZES, make_reader


def studied(reader, evaluation, **methods):
    return study(reader, attention_layers(reader.model), DEMONSTRATIONS, evaluation, methods, lambda *_: None)


def test_what_has_learned_nothing_is_its_own_null(reader):
    method = Finetuning(DEMONSTRATIONS, 1e-30)
    found = studied(reader, QUERIES, nothing=method)["nothing"]
    for measure in (KENDALL, TOP_TOKENS, TOP_DEMONSTRATIONS):
        np.testing.assert_array_equal(found.layers[measure.name], found.layers[measure.null.name])
    assert np.isnan(found.layers["SimAOU"]).all()
    assert found.losses == pytest.approx(found.losses_before, abs=1e-5)
    np.testing.assert_array_equal(found.predictions["zs"], found.predictions["ft"])


def test_the_table_of_measures_and_what_a_study_writes_have_the_same_names(reader):
    found = studied(reader, QUERIES, method=Finetuning(DEMONSTRATIONS, 0.01))["method"]
    names = [measure.name for measure in MEASURES]
    assert len(names) == len(set(names))
    assert set(found.layers) == set(names)
    assert all(values.shape == (len(QUERIES), 3) for values in found.layers.values())
    assert all(measure.null in MEASURES and measure.null.as_null for measure in MEASURES if measure.null)


def test_the_table_of_measures_and_the_published_figures_have_the_same_keys():
    others = {"zs", "icl", "ft", RECOVERY, LEARNING_RATE}
    for figures in PUBLISHED.values():
        for values in figures.values():
            assert set(values) - others == {measure.published for measure in MEASURES if measure.published}


def test_only_what_learned_the_demonstrations_has_measures_of_training(reader):
    found = studied(reader, QUERIES, others=Finetuning(DEMONSTRATIONS[:2], 0.01))["others"]
    assert set(found.layers) == {measure.name for measure in MEASURES if measure.comparand != "training"}


def test_what_was_learned_shows_in_the_losses_and_in_the_attention(reader):
    found = studied(reader, QUERIES, learned=Finetuning(DEMONSTRATIONS * 4, 0.01))["learned"]
    assert len(found.losses) == len(found.losses_before) == 12
    assert found.losses[0] == pytest.approx(found.losses_before[0], abs=1e-5)  # before its own update
    assert np.mean(found.losses[3:]) < np.mean(found.losses_before[3:])
    assert np.isfinite(found.layers["SimAOU"]).all()


def test_one_that_learned_other_texts_is_shown_the_same_demonstrations(reader):
    layers = attention_layers(reader.model)
    others = [Example("short film :", 1), Example("long film is short :", 0)]
    found = studied(reader, QUERIES, others=Finetuning(others, 0.05))["others"]
    with applied(layers, finetune(reader, layers, others, 0.05)):
        shown = [looked_at(reader, layers, example) for example in DEMONSTRATIONS]
    assert [len(one.queries[0]) for one in shown] == [len(reader.demonstration(one)) for one in DEMONSTRATIONS]
    assert np.isfinite(found.layers["Kendall"][:, -1]).any() or reader.model.config.model_type == "gemma3_text"
    assert not np.array_equal(found.layers["Kendall"], found.layers["Kendall, not finetuned"])


def test_what_finetuning_made_serves_as_well_as_making_it_again(reader):
    made = finetune(reader, attention_layers(reader.model), DEMONSTRATIONS, 0.05)
    # Were it made again, it would be at the other rate.
    methods = {"again": Finetuning(DEMONSTRATIONS, 0.05), "made": Finetuning(DEMONSTRATIONS, 1e-30, made=made)}
    found = studied(reader, QUERIES, **methods)
    assert found["made"].losses == found["again"].losses
    for name, values in found["again"].layers.items():
        np.testing.assert_array_equal(found["made"].layers[name], values)


def test_a_learning_rate_that_is_too_large_is_a_wrong_request_and_names_the_method(reader):
    with pytest.raises(RequestError, match=r"^method: the .* is too large: choose smaller --rates"):
        studied(reader, QUERIES, method=Finetuning(DEMONSTRATIONS, 1e45))


def test_shuffled_labels_of_several_tokens_leave_every_token_in_its_place():
    reader = make_reader("llama")  # the words of the labels have 1, 2 and 3 tokens
    turned = [Example(one.text, DEMONSTRATIONS[i - 1].label) for i, one in enumerate(DEMONSTRATIONS)]
    found = studied(reader, QUERIES, shuffled=Finetuning(turned, 1e-30))["shuffled"]
    np.testing.assert_array_equal(found.layers["Kendall"], found.layers["Kendall, not finetuned"])


def test_in_a_first_layer_with_rotary_positions_nothing_changes_among_the_querys_tokens():
    for family, changes in (("llama", False), ("gpt2", True)):
        found = studied(make_reader(family), QUERIES[:1], method=Finetuning(DEMONSTRATIONS, 0.05))["method"]
        assert np.isfinite(found.layers["SimAM of changes"][0, 0]) == changes
        assert np.isfinite(found.layers["SimAM of changes"][0, 1:]).all()


def test_what_rounding_makes_behind_a_long_context_is_no_change_either():
    size = SIZES | NARROW | {"max_position_embeddings": 4096, "head_dim": 64}
    config = LlamaConfig(**size, bos_token_id=1, eos_token_id=0)
    reader = make_reader("llama", config=config)
    methods = {"method": Finetuning(DEMONSTRATIONS, 0.05)}
    layers = attention_layers(reader.model)
    many = DEMONSTRATIONS * 100
    (found,) = study(reader, layers, many, QUERIES, methods, lambda *_: None).values()
    near, far = (reader.answer(reader.read(some), QUERIES[0], layers).layers[0].logits for some in ([], many))
    own = near.shape[-1] - len(reader.beginning)
    assert (near[:, -own:] - far[:, -own:]).abs().max() > 1e-5 * near.abs().max()  # rounding, and not little
    for name in ("SimAM of changes", "SimAM of changes, after softmax"):
        assert np.isnan(found.layers[name][:, 0]).all()
        assert np.isfinite(found.layers[name][:, 1:]).all()


def test_a_query_that_fills_a_sliding_window_sees_no_demonstration():
    reader = make_reader("gemma")  # a window of 8 tokens, in the first and third layer
    query = Example("a long dull film that is short and long film :".replace("and ", ""), 0)
    found = studied(reader, [query], method=Finetuning(DEMONSTRATIONS, 0.05))["method"]
    for name in ("Kendall", "top tokens", "top demonstrations"):
        assert np.isnan(found.layers[name][0, [0, 2]]).all()
    assert np.isfinite(found.layers["Kendall"][0, 1])


@pytest.mark.parametrize("config", [
    Gemma2Config(**SIZES, **NARROW, num_key_value_heads=2, head_dim=4, final_logit_softcapping=0.5),
    GraniteConfig(**SIZES, **NARROW, num_key_value_heads=2, logits_scaling=8.0),
])  # fmt: skip
def test_a_read_out_that_is_more_than_a_norm_and_embeddings_is_refused(config):
    model = AutoModelForCausalLM.from_config(config)
    with pytest.raises(RequestError, match=r"the read-out of .* is unknown"):
        LayerCausal(model, attention_layers(model))


@pytest.mark.parametrize("family", list(CONFIGS))
def test_the_read_out_of_these_families_is_known(family):
    model = make_reader(family).model
    LayerCausal(model, attention_layers(model))
