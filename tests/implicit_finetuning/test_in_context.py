"""Reading demonstrations once for all queries gives what the whole prompt gives; a recording is what was computed."""

import math

import pytest
import torch

from llm_icl.errors import RequestError
from llm_icl.implicit_finetuning.projections import attention_layers
from llm_icl.implicit_finetuning.recording import recording
from tests.implicit_finetuning.conftest import DEMONSTRATIONS, QUERIES, make_reader


def whole_prompt_scores(reader, demonstrations, query):
    """The mean log-probability of each label's tokens, from a pass over the whole text for each."""
    before = list(reader.beginning)
    for example in demonstrations:
        before += reader.demonstration(example) + reader.separator
    tokens, scores = reader.tokens(query), []
    for label in tokens.labels:
        ids = [*before, *tokens.text, *label]
        with torch.no_grad():
            rows = reader.model(input_ids=reader.ids(ids), use_cache=False).logits[0].double().log_softmax(-1)
        places = range(len(ids) - len(label), len(ids))
        scores.append(math.fsum(float(rows[i - 1, ids[i]]) for i in places) / len(label))
    return scores


@pytest.mark.parametrize("separator", ["newline", "end"])
def test_keys_and_values_that_are_reused_change_nothing(reader, separator):
    reader.separator = [0] if separator == "end" else reader.separator
    context = reader.read(DEMONSTRATIONS)
    for query in (*QUERIES, *QUERIES):  # the second time the context must be as it was
        found = reader.answer(context, query)
        assert found.scores == pytest.approx(whole_prompt_scores(reader, DEMONSTRATIONS, query), abs=1e-5)
    nothing = reader.read([])
    for query in (*QUERIES, *QUERIES):
        assert reader.answer(nothing, query).scores == pytest.approx(whole_prompt_scores(reader, [], query), abs=1e-5)


def test_a_recording_is_what_attention_computes(reader):
    layers = attention_layers(reader.model)
    context = reader.read(DEMONSTRATIONS)
    plain = reader.answer(context, QUERIES[0])
    with recording(reader.model, layers) as recorded:
        found = reader.answer(context, QUERIES[0], recorded)
    assert found.scores == pytest.approx(plain.scores, abs=1e-5)
    assert plain.layers == []
    ids = [*context.tokens, *reader.tokens(QUERIES[0]).text]
    reader.model.set_attn_implementation("eager")
    with torch.no_grad():
        truth = reader.model(input_ids=reader.ids(ids), output_attentions=True, output_hidden_states=True)
    assert len(found.layers) == len(truth.attentions) == 3
    for layer, weights in zip(found.layers, truth.attentions, strict=True):
        torch.testing.assert_close(layer.logits.softmax(-1), weights[0, :, -1], atol=1e-5, rtol=0)
        size = layer.query.shape[-1]
        scale = layer.logits / torch.einsum("hd,htd->ht", layer.query, layer.keys)
        seen = torch.isfinite(layer.logits)
        assert scale[seen].std() < 1e-3 * abs(scale[seen].mean())  # logits are scaled products of queries and keys
        assert layer.plain_queries.shape == (len(reader.tokens(QUERIES[0]).text), layer.query.shape[0] * size)


def test_what_an_attention_layer_adds_is_what_was_recorded():
    reader = make_reader("gpt2")
    layers = attention_layers(reader.model)
    with recording(reader.model, layers) as recorded:
        found = reader.answer(reader.read([]), QUERIES[0], recorded).layers
    for layer, (module, kept) in enumerate(zip(reader.model.transformer.h, found, strict=True)):
        mixed = torch.einsum("ht,htd->hd", kept.logits.softmax(-1), kept.values).flatten()
        torch.testing.assert_close(module.attn.c_proj(mixed), kept.output, atol=1e-5, rtol=0), layer


def test_more_demonstrations_than_fit_are_refused():
    reader = make_reader("llama")
    with pytest.raises(
        RequestError, match=r"40 demonstrations of 'toy' are [0-9]+ tokens, and the model's context holds"
    ):
        reader.read([DEMONSTRATIONS[0]] * 40)


def test_a_model_without_attention_is_refused():
    with pytest.raises(RequestError, match="Linear has no attention layers"):
        attention_layers(torch.nn.Linear(2, 2))
