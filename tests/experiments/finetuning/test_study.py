"""What is measured of one model: what changes nothing, what is not defined, and another order."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, Gemma2Config, GraniteConfig, LlamaConfig

from llm_icl.errors import RequestError
from llm_icl.experiments.finetuning import metrics
from llm_icl.experiments.finetuning.asked import ask
from llm_icl.experiments.finetuning.descent import Finetuned, applied, finetune, looked_at
from llm_icl.experiments.finetuning.layer_causal import LayerCausal
from llm_icl.experiments.finetuning.measures import MEASURES, ORDER_MEASURES
from llm_icl.experiments.finetuning.methods import ORDER, PUBLISHED_METHOD
from llm_icl.experiments.finetuning.projections import attention_layers
from llm_icl.experiments.finetuning.published import LEARNING_RATE, PUBLISHED, RECOVERY
from llm_icl.experiments.finetuning.study import Subject, study
from llm_icl.experiments.finetuning.text_tasks import Example
from llm_icl.progress import silent
from tests.experiments.finetuning.conftest import CONFIGS, DEMONSTRATIONS, NARROW, QUERIES, SIZES, make_reader


def studied(reader, evaluation, demonstrations=DEMONSTRATIONS, reordered=(), **updates):
    return study(Subject(reader, evaluation, silent), demonstrations, updates, reordered)


def learning(reader, demonstrations, rate):
    """The update of finetuning on these demonstrations."""
    return lambda: finetune(reader, attention_layers(reader.model), demonstrations, rate)


def copied(update):
    """The update without what was seen in training."""
    return lambda: Finetuned(update().parameters)


def test_what_has_learned_nothing_changes_nothing(reader):
    found = studied(reader, QUERIES, nothing=learning(reader, DEMONSTRATIONS, 1e-30))["nothing"]
    np.testing.assert_array_equal(found.layers["SimAM"], found.layers["SimAM before finetuning"])
    for name in ("SimAOU", "SimAM of changes", "SimAM of changes, after softmax"):
        assert np.isnan(found.layers[name]).all()
    assert found.losses == pytest.approx(found.losses_before, abs=1e-5)
    np.testing.assert_array_equal(found.predictions["zs"], found.predictions["ft"])


def test_the_table_of_measures_and_what_a_study_writes_have_the_same_names(reader):
    first = learning(reader, DEMONSTRATIONS, 0.01)
    updates = {PUBLISHED_METHOD: first, ORDER: copied(learning(reader, DEMONSTRATIONS[::-1], 0.01))}
    found = studied(reader, QUERIES, reordered=DEMONSTRATIONS[::-1], **updates)
    names = [measure.name for measure in MEASURES]
    assert len(names) == len(set(names))
    assert set(found[PUBLISHED_METHOD].layers) | set(found[ORDER].layers) == set(names)
    assert set(found[PUBLISHED_METHOD].layers) == {one.name for one in MEASURES if one not in ORDER_MEASURES}
    assert all(values.shape == (len(QUERIES), 3) for one in found.values() for values in one.layers.values())


def test_the_table_of_measures_and_the_published_figures_have_the_same_keys():
    others = {"zs", "icl", "ft", RECOVERY, LEARNING_RATE}
    for figures in PUBLISHED.values():
        for values in figures.values():
            assert set(values) - others == {measure.published for measure in MEASURES if measure.published}


def test_only_what_learned_the_demonstrations_has_measures_of_training(reader):
    found = studied(reader, QUERIES, others=copied(learning(reader, DEMONSTRATIONS[:2], 0.01)))["others"]
    assert set(found.layers) == {one.name for one in MEASURES if one.comparand in ("model", "finetuned")}


def test_what_was_learned_shows_in_the_losses_and_in_the_attention(reader):
    found = studied(reader, QUERIES, learned=copied(learning(reader, DEMONSTRATIONS * 4, 0.01)))["learned"]
    assert len(found.losses) == len(found.losses_before) == len(DEMONSTRATIONS)
    layers = attention_layers(reader.model)
    truth = [looked_at(reader, layers, [one])[0].loss for one in DEMONSTRATIONS]
    assert found.losses_before == pytest.approx(truth, abs=1e-5)
    assert np.mean(found.losses) < np.mean(found.losses_before)
    assert np.isfinite(found.layers["SimAOU"]).all()


def test_one_that_learned_other_texts_is_shown_the_same_demonstrations(reader):
    layers = attention_layers(reader.model)
    others = [Example("short film :", 1), Example("long film is short :", 0)]
    found = studied(reader, QUERIES, others=copied(learning(reader, others, 0.05)))["others"]
    with applied(layers, finetune(reader, layers, others, 0.05)):
        shown = looked_at(reader, layers, DEMONSTRATIONS)
    assert found.losses == [one.loss for one in shown]
    assert [len(one.queries[0]) for one in shown] == [len(reader.demonstration(one)) for one in DEMONSTRATIONS]
    assert np.isfinite(found.layers["Kendall"][:, -1]).any() or reader.model.config.model_type == "gemma3_text"


def test_demonstrations_that_are_looked_at_together_do_not_see_each_other(reader):
    layers, texts = attention_layers(reader.model), [*DEMONSTRATIONS, Example("short :", 0)]
    for one, text in zip(looked_at(reader, layers, texts), texts, strict=True):
        (alone,) = looked_at(reader, layers, [text])
        assert one.loss == pytest.approx(alone.loss, abs=1e-5)
        assert len(one.queries) == len(layers)
        for a, b in zip(one.queries, alone.queries, strict=True):
            torch.testing.assert_close(a, b, atol=2e-5, rtol=0)


def test_another_order_is_compared_with_the_first_in_context_and_in_finetuning(reader):
    turned = DEMONSTRATIONS[::-1]
    updates = {PUBLISHED_METHOD: learning(reader, DEMONSTRATIONS, 0.05),
               ORDER: copied(learning(reader, turned, 0.05))}  # fmt: skip
    found = studied(reader, QUERIES, reordered=turned, **updates)[ORDER]
    layers, nothing = attention_layers(reader.model), reader.read([])
    outputs = {"zs": ask(reader, nothing, QUERIES, layers, lambda _: None)}
    for name, texts in (("icl", DEMONSTRATIONS), ("icl turned", turned)):
        outputs[name] = ask(reader, reader.read(texts), QUERIES, layers, lambda _: None)
    for name, texts in (("ft", DEMONSTRATIONS), ("ft turned", turned)):
        with applied(layers, finetune(reader, layers, texts, 0.05)):
            outputs[name] = ask(reader, reader.read([]), QUERIES, layers, lambda _: None)
    assert found.predictions["icl"].tolist() == [one.label for one in outputs["icl turned"]]
    assert found.predictions["ft"].tolist() == [one.label for one in outputs["ft turned"]]
    for measure, name in zip(ORDER_MEASURES, ("icl", "ft"), strict=True):
        for query in range(len(QUERIES)):
            for layer in range(3):
                states = [outputs[key][query].layers[layer].output for key in ("zs", name, f"{name} turned")]
                truth = float(metrics.update_similarity(*states))
                assert found.layers[measure.name][query, layer] == pytest.approx(truth, abs=1e-4, nan_ok=True)
    # The order of the demonstrations changes what a context does, and one-by-one finetuning hardly.
    assert np.nanmin(found.layers[ORDER_MEASURES[0].name]) < 0.999


def test_all_updates_are_measured_on_the_same_layers():
    """An update of the last layer only has no SimAOU in the others; nor has any that is compared with it."""
    reader = make_reader("llama")
    layers = attention_layers(reader.model)

    def last_only():
        made = finetune(reader, layers, DEMONSTRATIONS, 0.05)
        same = [parameter.detach().clone() for layer in layers for parameter, _ in layer.trained]
        last = len(layers[-1].trained)
        return Finetuned([*same[:-last], *made.parameters[-last:]])

    found = studied(reader, QUERIES, whole=learning(reader, DEMONSTRATIONS, 0.05), last=last_only)
    for one in found.values():
        assert np.isnan(one.layers["SimAOU"][:, :2]).all()
        assert np.isfinite(one.layers["SimAOU"][:, 2]).all()
        assert np.isfinite(one.layers["Kendall"]).all()
    alone = studied(reader, QUERIES, whole=learning(reader, DEMONSTRATIONS, 0.05))["whole"]
    assert np.isfinite(alone.layers["SimAOU"]).all()


def test_a_learning_rate_that_is_too_large_is_a_wrong_request_and_names_the_method(reader):
    with pytest.raises(RequestError, match=r"^method: the .* is too large: choose smaller --rates"):
        studied(reader, QUERIES, method=learning(reader, DEMONSTRATIONS, 1e45))


def test_shuffled_labels_of_several_tokens_leave_every_token_in_its_place():
    reader = make_reader("llama")  # the words of the labels have 1, 2 and 3 tokens
    turned = [Example(one.text, DEMONSTRATIONS[i - 1].label) for i, one in enumerate(DEMONSTRATIONS)]
    found = studied(reader, QUERIES, shuffled=copied(learning(reader, turned, 1e-30)))["shuffled"]
    same = studied(reader, QUERIES, nothing=learning(reader, DEMONSTRATIONS, 1e-30))["nothing"]
    np.testing.assert_array_equal(found.layers["Kendall"], same.layers["Kendall"])


def test_in_a_first_layer_with_rotary_positions_nothing_changes_among_the_querys_tokens():
    for family, changes in (("llama", False), ("gpt2", True)):
        reader = make_reader(family)
        found = studied(reader, QUERIES[:1], method=learning(reader, DEMONSTRATIONS, 0.05))["method"]
        assert np.isfinite(found.layers["SimAM of changes"][0, 0]) == changes
        assert np.isfinite(found.layers["SimAM of changes"][0, 1:]).all()


def test_what_rounding_makes_behind_a_long_context_is_no_change_either():
    size = SIZES | NARROW | {"max_position_embeddings": 4096, "head_dim": 64}
    config = LlamaConfig(**size, bos_token_id=1, eos_token_id=0)
    reader = make_reader("llama", config=config)
    layers = attention_layers(reader.model)
    many = DEMONSTRATIONS * 100
    found = studied(reader, QUERIES, many, method=copied(learning(reader, DEMONSTRATIONS, 0.05)))["method"]
    near, far = (reader.answer(reader.read(some), QUERIES[0], layers).layers[0].logits for some in ([], many))
    own = near.shape[-1] - len(reader.beginning)
    assert (near[:, -own:] - far[:, -own:]).abs().max() > 1e-5 * near.abs().max()  # rounding, and not little
    for name in ("SimAM of changes", "SimAM of changes, after softmax"):
        assert np.isnan(found.layers[name][:, 0]).all()
        assert np.isfinite(found.layers[name][:, 1:]).all()


def test_a_query_that_fills_a_sliding_window_sees_no_demonstration():
    reader = make_reader("gemma")  # a window of 8 tokens, in the first and third layer
    query = Example("a long dull film that is short and long film :".replace("and ", ""), 0)
    found = studied(reader, [query], method=learning(reader, DEMONSTRATIONS, 0.05))["method"]
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
