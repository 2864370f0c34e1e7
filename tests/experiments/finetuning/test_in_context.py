"""Reading demonstrations once for all queries gives what the whole prompt gives; a recording is what was computed."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from tokenizers import normalizers, processors

from llm_icl.errors import RequestError
from llm_icl.experiments.finetuning.asked import ask
from llm_icl.experiments.finetuning.projections import attention_layers
from llm_icl.experiments.finetuning.reader import Reader
from llm_icl.experiments.finetuning.text_tasks import Example
from tests.experiments.finetuning.conftest import (
    BEGINNINGS,
    DEMONSTRATIONS,
    FAMILIES,
    QUERIES,
    TASK,
    WORDS,
    make_reader,
)


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


@pytest.mark.parametrize("demonstrations", [[], DEMONSTRATIONS])
def test_queries_that_are_asked_together_do_not_see_each_other(reader, demonstrations):
    layers, context = attention_layers(reader.model), reader.read(demonstrations)
    queries = [*QUERIES, Example("long film :", 1), Example("a film that is long dull bright :", 0)]
    together = ask(reader, context, queries, layers, lambda _: None)
    assert list(reader.batches(queries, context)) == [[1, 2, 0, 3]]  # by length
    for query, one in zip(queries, together, strict=True):
        (alone,) = ask(reader, context, [query], layers, lambda _: None)
        assert one.label == alone.label
        for a, b in zip(one.layers, alone.layers, strict=True):
            for name in ("output", "output_at_label", "query", "query_logits", "context_logits"):
                np.testing.assert_allclose(getattr(a, name), getattr(b, name), atol=2e-5)
            if demonstrations:
                assert a.dual_form.softmax_cosine == pytest.approx(b.dual_form.softmax_cosine, abs=1e-4, nan_ok=True)
    answers = reader.answers(context, queries)
    for query, answer in zip(queries, answers, strict=True):
        assert answer.scores == pytest.approx(whole_prompt_scores(reader, demonstrations, query), abs=1e-5)


def test_fewer_are_asked_together_behind_a_long_context(monkeypatch):
    reader = make_reader("llama")
    context = reader.read(DEMONSTRATIONS)
    longest = max(len(reader.tokens(query).text) for query in QUERIES)
    monkeypatch.setattr("llm_icl.experiments.finetuning.reader._TOKENS", 2 * (len(context.tokens) + longest))
    assert [len(batch) for batch in reader.batches(QUERIES * 3, context)] == [2, 2, 2]
    monkeypatch.setattr("llm_icl.experiments.finetuning.reader._TOKENS", 1)
    assert [len(batch) for batch in reader.batches(QUERIES, context)] == [1, 1]


def test_a_label_that_begins_with_another_is_refused():
    """It can never be likelier than the other, and its mean log-probability says that it is."""
    reader = make_reader("llama", task=dataclasses.replace(TASK, labels=("good", "good so", "bad")))
    with pytest.raises(RequestError, match="'good' is the beginning of 'good so'"):
        reader.tokens(QUERIES[0])


def test_a_recording_is_what_attention_computes(reader):
    layers = attention_layers(reader.model)
    context = reader.read(DEMONSTRATIONS)
    plain = reader.answer(context, QUERIES[0])
    found = reader.answer(context, QUERIES[0], layers)
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
        keys = layer.keys.repeat_interleave(len(layer.query) // len(layer.keys), 0)
        scale = layer.logits / torch.einsum("hd,htd->ht", layer.query, keys)
        seen = torch.isfinite(layer.logits)
        assert scale[seen].std() < 1e-3 * abs(scale[seen].mean())  # logits are scaled products of queries and keys
        assert layer.plain_query.shape == (layer.query.shape[0] * size,)


def test_what_an_attention_layer_adds_is_what_was_recorded():
    reader = make_reader("gpt2")
    layers = attention_layers(reader.model)
    found = reader.answer(reader.read([]), QUERIES[0], layers).layers
    for layer, (module, kept) in enumerate(zip(reader.model.transformer.h, found, strict=True)):
        mixed = torch.einsum("ht,htd->hd", kept.logits.softmax(-1), kept.values).flatten()
        torch.testing.assert_close(module.attn.c_proj(mixed), kept.output, atol=1e-5, rtol=0), layer


def test_what_the_published_code_reads_is_the_output_at_the_first_labels_first_token(reader):
    layers = attention_layers(reader.model)
    context = reader.read(DEMONSTRATIONS)
    for query in QUERIES:
        found = reader.answer(context, query, layers)
        tokens = reader.tokens(query)
        outputs = []
        hooks = [one.module.register_forward_hook(lambda *run, kept=outputs: kept.append(run[2][0])) for one in layers]
        with torch.no_grad():
            ids = [*context.tokens, *tokens.text, tokens.labels[0][0]]
            reader.model(input_ids=reader.ids(ids), use_cache=False)
        for hook in hooks:
            hook.remove()
        for layer, whole in zip(found.layers, outputs, strict=True):
            torch.testing.assert_close(layer.next_output, whole[0, -1], atol=2e-5, rtol=0)
            torch.testing.assert_close(layer.output, whole[0, -2], atol=2e-5, rtol=0)


def test_queries_are_those_that_attention_normalises():
    reader = make_reader("gemma")
    layers = attention_layers(reader.model)
    normalised = []
    hook = layers[1].module.q_norm.register_forward_hook(lambda *run: normalised.append(run[2]))
    with torch.no_grad():
        reader.model.model.layers[1].self_attn.q_norm.weight.copy_(torch.linspace(-0.5, 2, 8))
    found = reader.answer(reader.read([]), QUERIES[0], layers).layers[1]
    hook.remove()
    # The beginning is read first, then the query with the first token of a label behind it: (1, H, t + 1, P).
    own = normalised[1][0, :, len(reader.tokens(QUERIES[0]).text) - 1]
    torch.testing.assert_close(found.plain_query, own.flatten(), atol=1e-5, rtol=0)


def test_as_many_demonstrations_as_fit():
    reader = make_reader("llama")
    many = DEMONSTRATIONS * 10
    count = reader.fitting(many, QUERIES)
    context = reader.read(many[:count])
    for query in QUERIES:
        reader.answer(context, query)
    # One more does not fit with the longer query, which has 7 tokens and a label of up to 3 behind it.
    assert len(context.tokens) + 10 <= reader.limit < len(reader.read(many[: count + 1]).tokens) + 10
    with pytest.raises(RequestError, match="does not fit the context after the demonstrations"):
        reader.answer(reader.read(many[: count + 1]), QUERIES[0])


def test_attention_that_cannot_be_recorded_is_refused():
    reader = make_reader("gpt2")
    module = reader.model.transformer.h[0].attn
    layers = attention_layers(reader.model)
    module.forward = lambda hidden, *_, **__: (hidden, None)
    with pytest.raises(RequestError, match="attention of GPT2Attention cannot be recorded"):
        reader.answer(reader.read([]), QUERIES[0], layers)


def test_more_demonstrations_than_fit_are_refused():
    reader = make_reader("llama")
    with pytest.raises(
        RequestError, match=r"40 demonstrations of 'toy' have [0-9]+ tokens, more than the model's context of 96"
    ):
        reader.read([DEMONSTRATIONS[0]] * 40)


def test_a_model_without_attention_is_refused():
    with pytest.raises(RequestError, match="Linear has no attention layers"):
        attention_layers(torch.nn.Linear(2, 2))


def test_the_beginning_is_what_the_tokenizer_writes_before_a_text():
    beginnings = {family: make_reader(family).beginning for family in FAMILIES}
    words = {name: [WORDS.index(word)] for name, word in BEGINNINGS.items()}
    assert beginnings == {family: words.get(family, []) for family in FAMILIES}
    assert sum(map(bool, beginnings.values())) == 3


def with_tokenizer(words, change):
    """The reader of a GPT-2 whose tokenizer of words was changed."""
    reader = make_reader("gpt2")
    change(reader.tokenizer)
    return Reader(reader.model, reader.tokenizer, dataclasses.replace(TASK, labels=words))


def test_what_a_tokenizer_writes_after_a_text_is_not_part_of_a_label():
    def append(tokenizer):
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single="<begin> $A <end>", special_tokens=[("<begin>", 1), ("<end>", 0)]
        )

    reader, plain = with_tokenizer(TASK.labels, append), make_reader("gpt2")
    assert reader.beginning == [1]
    assert reader.tokens(QUERIES[0]) == plain.tokens(QUERIES[0])
    assert reader.separator == plain.separator


@pytest.mark.parametrize("words", [("bad", "superb"), ("awful", "superb")])
def test_a_label_that_the_tokenizer_does_not_know_is_refused(words):
    with pytest.raises(RequestError, match=r"the tokenizer of '.*' has no token for '(awful|superb)'"):
        with_tokenizer(words, lambda tokenizer: None)


def test_a_tokenizer_without_line_breaks_needs_another_separator():
    def drop(tokenizer):
        tokenizer.backend_tokenizer.normalizer = normalizers.Strip()

    with pytest.raises(RequestError, match="no token for a line break: choose --separator end"):
        with_tokenizer(TASK.labels, drop)
