"""The measures once more, from whole prompts, transformers' own attention and torch's own optimiser."""

from contextlib import contextmanager

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau

from llm_icl.experiments.finetuning.descent import finetune
from llm_icl.experiments.finetuning.projections import attention_layers
from llm_icl.experiments.finetuning.study import Subject, study
from llm_icl.progress import silent
from tests.experiments.finetuning.conftest import DEMONSTRATIONS, QUERIES, make_reader

RATE = 0.05
QUERY = QUERIES[0]


def modules(model):
    return [module for module in model.modules() if type(module).__name__.endswith("Attention")]


@contextmanager
def watched(model):
    """What each attention layer gives, and its queries before any rotation, of all tokens of the next run."""
    outputs, queries, hooks = [], [], []
    for module in modules(model):
        hooks.append(module.register_forward_hook(lambda _, __, given: outputs.append(given[0][0].numpy())))
        source = module.q_proj if hasattr(module, "q_proj") else module.c_attn
        width = model.config.hidden_size
        hooks.append(
            source.register_forward_hook(lambda _, __, given, w=width: queries.append(given[0, :, :w].numpy()))
        )
    try:
        yield outputs, queries
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def seen(model, tokens):
    """By layer: outputs [T, D], queries [T, D], and the logarithm of the last token's attention [h, T]."""
    model.set_attn_implementation("eager")
    with watched(model) as (outputs, queries):
        attentions = model(input_ids=torch.tensor([tokens]), use_cache=False, output_attentions=True).attentions
    return outputs, queries, [np.log(one[0, :, -1].double().numpy()) for one in attentions]


def learn(reader, tokens):
    """One step of torch's SGD on a demonstration, keys and values only."""
    model = reader.model
    trained = [p for name, p in model.named_parameters() if any(k in name for k in ("k_proj", "v_proj", "c_attn"))]
    optimiser = torch.optim.SGD(trained, RATE)
    optimiser.zero_grad()
    ids = torch.tensor([[*reader.beginning, *tokens]])
    model(input_ids=ids, labels=ids).loss.backward()
    for parameter in trained:
        if parameter.shape[-1] == 3 * model.config.hidden_size:  # GPT-2's queries
            parameter.grad[..., : model.config.hidden_size] = 0
    optimiser.step()


def studied(reader):
    subject = Subject(reader, [QUERY], silent)
    made = finetune(reader, subject.layers, DEMONSTRATIONS, RATE)
    return study(subject, DEMONSTRATIONS, {"method": lambda: made})["method"]


def cosine(a, b):
    return float((a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b))


def unit(vector):
    return vector / np.linalg.norm(vector)


def centred(logits):
    return logits - logits.mean(-1, keepdims=True)


def shares(logits):
    return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)


def by_head(zs, icl, ft):
    return np.mean([cosine(b - a, c - a) for a, b, c in zip(zs, icl, ft, strict=True)])


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_all_measures_are_those_of_whole_prompts(family):
    reader = make_reader(family)
    found = studied(reader)
    layers = attention_layers(reader.model)

    demonstrations = [reader.demonstration(example) for example in DEMONSTRATIONS]
    context, places = list(reader.beginning), []
    for tokens in demonstrations:
        places += range(len(context), len(context) + len(tokens))
        context += [*tokens, *reader.separator]
    query = list(reader.tokens(QUERY).text)
    label = reader.tokens(QUERY).labels[0][0]
    model, own = reader.model, len(query)
    zs, icl = seen(model, [*reader.beginning, *query]), seen(model, [*context, *query])
    labelled = [seen(model, [*before, *query, label])[0] for before in (reader.beginning, context)]
    at_learning = []
    for tokens in demonstrations:
        at_learning.append(seen(model, [*reader.beginning, *tokens])[1])
        learn(reader, tokens)
    ft = seen(model, [*reader.beginning, *query])
    labelled.append(seen(model, [*reader.beginning, *query, label])[0])
    afterwards = [seen(model, [*reader.beginning, *tokens])[1] for tokens in demonstrations]

    for layer in range(len(layers)):
        outputs = [unit(one[0][layer][-1]) for one in (zs, icl, ft)]
        at_label = [unit(one[layer][-1]) for one in labelled]
        truth = {
            "SimAOU": cosine(outputs[1] - outputs[0], outputs[2] - outputs[0]),
            "SimAOU at a label": cosine(at_label[1] - at_label[0], at_label[2] - at_label[0]),
        }
        logits = [one[2][layer][:, -own:] for one in (zs, icl, ft)]
        if family == "gpt2" or layer:
            truth["SimAM of changes"] = by_head(*map(centred, logits))
            truth["SimAM of changes, after softmax"] = by_head(*map(shares, logits))
        attention = icl[2][layer][:, places].mean(0)
        for name, vectors in (("Kendall", afterwards), ("Kendall, as published", at_learning)):
            queries = np.concatenate([one[layer][len(reader.beginning) :] for one in vectors])
            truth[name] = kendalltau(attention, queries @ ft[1][layer][-1]).statistic
        for name, value in truth.items():
            assert found.layers[name][0, layer] == pytest.approx(value, abs=2e-3), (name, layer)


def test_simam_is_that_of_gpt2s_own_projections():
    reader = make_reader("gpt2")
    model = reader.model
    found = studied(reader)
    context, query = reader.read(DEMONSTRATIONS).tokens, list(reader.tokens(QUERY).text)

    @torch.no_grad()
    def logits(tokens):
        made = []
        hooks = [m.c_attn.register_forward_hook(lambda _, __, given: made.append(given[0])) for m in modules(model)]
        model(input_ids=torch.tensor([tokens]), use_cache=False)
        for hook in hooks:
            hook.remove()
        heads = [[part.unflatten(-1, (4, 4)).transpose(0, 1) for part in one.split(16, -1)] for one in made]
        return [(q[:, -1:] * k[:, -len(query) :]).sum(-1).numpy() / 2 for q, k, _ in heads]

    zs, icl = logits(query), logits([*context, *query])
    for example in DEMONSTRATIONS:
        learn(reader, reader.demonstration(example))
    ft = logits(query)
    for layer in range(3):
        pairs = {"SimAM": (icl, ft), "SimAM before finetuning": (icl, zs)}
        for name, (a, b) in pairs.items():
            value = np.mean([cosine(x, y) for x, y in zip(a[layer], b[layer], strict=True)])
            assert found.layers[name][0, layer] == pytest.approx(value, abs=1e-4), (name, layer)
