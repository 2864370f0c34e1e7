"""Finetuning changes keys and values only, as plain gradient descent does, and leaves no trace."""

import pytest
import torch

from llm_icl.experiments.finetuning.descent import applied, finetune
from llm_icl.experiments.finetuning.layer_causal import LayerCausal
from llm_icl.experiments.finetuning.projections import attention_layers
from tests.experiments.finetuning.conftest import DEMONSTRATIONS, FAMILIES, make_reader


def copy_of(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def key_value_part(family, name, tensor):
    """Which entries of a parameter make keys and values; written from the models' own definitions."""
    if family == "gpt2":
        return torch.arange(48).expand(tensor.shape) >= 16 if "c_attn" in name else torch.zeros(tensor.shape).bool()
    if family == "neox":
        if "query_key_value" not in name:
            return torch.zeros(tensor.shape).bool()
        row = (torch.arange(48) // 4 % 3 > 0).reshape(-1, *[1] * (tensor.ndim - 1))
        return row.expand(tensor.shape)
    if family == "phi":  # 4 heads' queries of width 4, then 2 heads' keys, then their values
        row = (torch.arange(len(tensor)) >= 16).reshape(-1, *[1] * (tensor.ndim - 1))
        return row.expand(tensor.shape) & ("qkv_proj" in name)
    return torch.full(tensor.shape, "k_proj" in name or "v_proj" in name)


@pytest.mark.parametrize("family", FAMILIES)
def test_only_keys_and_values_change(family):
    reader = make_reader(family)
    layers = attention_layers(reader.model)
    before = copy_of(reader.model)
    with applied(layers, finetune(reader, layers, DEMONSTRATIONS, 0.1)):
        after = copy_of(reader.model)
    changed = 0
    for name, tensor in before.items():
        mine = key_value_part(family, name, tensor)
        assert torch.equal(after[name][~mine], tensor[~mine]), name
        changed += int((after[name] != tensor).sum())
    assert changed > 0.9 * sum(int(key_value_part(family, name, tensor).sum()) for name, tensor in before.items()) - 48
    again = copy_of(reader.model)
    assert all(torch.equal(again[name], tensor) for name, tensor in before.items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in reader.model.parameters())


@pytest.mark.parametrize("family", ["llama", "neox"])
def test_it_is_one_epoch_of_plain_gradient_descent_in_the_order_of_the_context(family):
    reader, plain = make_reader(family), make_reader(family)
    rate, losses = 0.05, []
    for example in DEMONSTRATIONS:
        ids = plain.ids([*plain.beginning, *plain.demonstration(example)])
        logits = plain.model(input_ids=ids).logits[0]
        loss = -logits.log_softmax(-1)[range(ids.shape[1] - 1), ids[0, 1:]].mean()
        plain.model.zero_grad()
        loss.backward()
        losses.append(loss.item())
        with torch.no_grad():
            for name, parameter in plain.model.named_parameters():
                parameter -= rate * parameter.grad * key_value_part(family, name, parameter)
    layers = attention_layers(reader.model)
    made = finetune(reader, layers, DEMONSTRATIONS, rate)
    with applied(layers, made):
        for name, tensor in plain.model.state_dict().items():
            torch.testing.assert_close(reader.model.state_dict()[name], tensor, atol=1e-6, rtol=0, msg=name)
    assert [one.loss for one in made.learned] == pytest.approx(losses, abs=1e-5)
    assert [len(one.queries[0]) for one in made.learned] == [len(reader.demonstration(one)) for one in DEMONSTRATIONS]


def test_the_queries_of_training_are_those_of_the_weights_of_that_moment():
    reader = make_reader("gpt2")
    layers = attention_layers(reader.model)
    learned = finetune(reader, layers, DEMONSTRATIONS, 0.1).learned
    with applied(layers, finetune(reader, layers, DEMONSTRATIONS[:1], 0.1)):
        found = []
        hook = layers[1].source.register_forward_hook(lambda *run: found.append(run[2][0, :, :16]))
        with torch.no_grad():
            reader.model(input_ids=reader.ids(reader.demonstration(DEMONSTRATIONS[1])))
        hook.remove()
    torch.testing.assert_close(learned[1].queries[1], found[0], atol=1e-6, rtol=0)


def test_a_learning_rate_that_is_too_large_is_reported():
    reader = make_reader("llama")
    before = copy_of(reader.model)
    with pytest.raises(FloatingPointError, match="is too large"):
        finetune(reader, attention_layers(reader.model), DEMONSTRATIONS * 3, 1e45)
    assert all(torch.equal(value, before[name]) for name, value in reader.model.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in reader.model.parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_layer_causal_gradients_are_each_layers_own(family):
    """Layer l's gradient is that of a model which ends after layer l, its input taken as given."""
    reader = make_reader(family)
    layers = attention_layers(reader.model)
    ids = reader.ids(reader.demonstration(DEMONSTRATIONS[0]))
    model = reader.model
    model.zero_grad()
    loss = LayerCausal(model, layers)(reader, ids)
    found = [[parameter.grad.clone() for parameter, _ in layer.trained] for layer in layers]
    blocks = model.transformer.h if family == "gpt2" else model.base_model.layers
    norm = {"gpt2": "ln_f", "neox": "final_layer_norm", "xglm": "layer_norm"}.get(family, "norm")
    streams = []
    hooks = [block.register_forward_hook(lambda *run: streams.append(run[2])) for block in blocks]
    for number, layer in enumerate(layers):
        streams.clear()
        model.zero_grad()
        model(input_ids=ids, use_cache=False)
        stream = streams[number][0] if isinstance(streams[number], tuple) else streams[number]
        logits = model.get_output_embeddings()(getattr(model.base_model, norm)(stream))[0, :-1]
        own = -logits.log_softmax(-1)[range(ids.shape[1] - 1), ids[0, 1:]].mean()
        # A whole backward pass: what reaches this layer's own parameters came through no other layer's.
        gradients = torch.autograd.grad(own, [parameter for parameter, _ in layer.trained])
        for truth, gradient in zip(gradients, found[number], strict=True):
            torch.testing.assert_close(gradient, truth, atol=1e-5, rtol=1e-4)
        if number == len(layers) - 1:
            assert loss == pytest.approx(own.item(), abs=1e-5)
    for hook in hooks:
        hook.remove()
