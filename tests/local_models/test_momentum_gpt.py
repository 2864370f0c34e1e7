"""GPT-2 with momentum against its formulas, head by head and token by token, and as a model of transformers."""

import math

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    DynamicCache,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
)

from llm_icl.experiments.finetuning.descent import applied, finetune
from llm_icl.experiments.finetuning.projections import attention_layers
from llm_icl.experiments.finetuning.reader import Reader
from llm_icl.experiments.finetuning.recording import recording
from llm_icl.experiments.finetuning.text_tasks import Example, TextTask
from local_models.kv_cache import cached
from local_models.mixers.momentum import MomentumAttention
from local_models.momentum_gpt import MomentumGPT, MomentumGPTConfig

WIDTH, HEADS, LAYERS, TOKENS, VOCABULARY = 16, 4, 2, 11, 50
SIZES = {
    "vocab_size": VOCABULARY, "n_positions": 32, "n_embd": WIDTH, "n_layer": LAYERS, "n_head": HEADS,
    "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "bos_token_id": 0, "eos_token_id": 0,
}  # fmt: skip
KINDS = {"half": {"eta": 0.5}, "long": {"eta": 0.9}, "filter": {"learned": True}}
each_kind = pytest.mark.parametrize("kind", KINDS)


def made(kind, **more):
    """A model in float64 whose weights are so great that every term shows."""
    model = MomentumGPT(MomentumGPTConfig(**SIZES, **KINDS[kind], **more))
    return ordinary(model).double().eval()


def ordinary(model, seed=0):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model


def ids_of(rows=2, tokens=TOKENS, seed=1):
    return torch.randint(VOCABULARY, (rows, tokens), generator=torch.Generator().manual_seed(seed))


def logits_of(model, ids, **options):
    with torch.no_grad():
        return model(input_ids=ids, **options).logits


def close(actual, expected, tolerance=1e-10):
    torch.testing.assert_close(actual, expected, atol=tolerance, rtol=0)


def softmax_part(q, k, v, t):
    """Attention of one head at a token, from [T, d] each."""
    weights = [math.exp((q[t] @ k[i]).item() / math.sqrt(q.shape[1])) for i in range(t + 1)]
    return sum(weight * v[i] for i, weight in enumerate(weights)) / sum(weights)


def written_out(attention, x, added):
    """The attention layer on [B, T, D], where a head's part at token t is its attention plus added(head, v, t)."""
    made = x @ attention.c_attn.weight + attention.c_attn.bias
    size, output = WIDTH // HEADS, torch.zeros_like(x)
    for row, (queries, keys, values) in enumerate(part.split(WIDTH, -1) for part in made):
        for t in range(x.shape[1]):
            heads = []
            for head in range(HEADS):
                mine = slice(head * size, (head + 1) * size)
                q, k, v = queries[:, mine], keys[:, mine], values[:, mine]
                heads.append(softmax_part(q, k, v, t) + added(head, v, t))
            output[row, t] = torch.cat(heads) @ attention.c_proj.weight + attention.c_proj.bias
    return output


def heard(model, ids):
    """What went into each attention layer, and what came out."""
    found = []

    def keep(module, args, kwargs, output):
        found.append((module, args[0] if args else kwargs["hidden_states"], output[0]))

    hooks = [block.attn.register_forward_hook(keep, with_kwargs=True) for block in model.transformer.h]
    logits_of(model, ids)
    for hook in hooks:
        hook.remove()
    assert len(found) == LAYERS
    return found


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("kind", ["half", "long"])
def test_every_head_has_the_papers_sum_over_earlier_values_added_before_the_output_projection(kind, implementation):
    model = made(kind)
    model.set_attn_implementation(implementation)
    eta = KINDS[kind]["eta"]

    def added(_, v, t):
        return sum((eta ** (t - i) * v[i] for i in range(t)), torch.zeros_like(v[0]))

    for attention, x, output in heard(model, ids_of()):
        close(output, written_out(attention, x, added))


def test_the_learned_filter_is_its_equation_with_the_current_token_and_a_curve_for_each_channel():
    model = made("filter")
    for attention, x, output in heard(model, ids_of()):
        delta, gamma = attention.delta.tolist(), attention.gamma.tolist()
        assert (len(delta), len(delta[0])) == (WIDTH, 8)

        def curve(channel, age, delta=delta, gamma=gamma):
            terms = zip(gamma[channel], delta[channel], strict=True)
            return sum(g * (1 / (1 + math.exp(-d))) ** age for g, d in terms) / math.sqrt(WIDTH)

        def added(head, v, t, curve=curve):
            sums = []
            for j in range(v.shape[1]):
                channel = head * v.shape[1] + j
                sums.append(sum(curve(channel, t - i) * v[i, j].item() for i in range(t + 1)))
            return torch.tensor(sums, dtype=v.dtype)

        close(output, written_out(attention, x, added))


def test_three_tokens_by_hand():
    """Without queries and keys attention is a mean; values are the inputs 1, 10 and 100, and eta is a half."""
    config = MomentumGPTConfig(**SIZES, eta=0.5)
    attention = MomentumGPT(config).transformer.h[0].attn
    with torch.no_grad():
        attention.c_attn.weight.zero_()
        attention.c_attn.weight[:, 2 * WIDTH :] = torch.eye(WIDTH)
        attention.c_proj.weight.copy_(torch.eye(WIDTH))
        attention.c_proj.bias.fill_(1000.0)
        output, _ = attention(torch.tensor([1.0, 10.0, 100.0]).reshape(1, 3, 1).expand(1, 3, WIDTH))
    expected = [1 + 1000, 5.5 + 0.5 * 1 + 1000, 37 + 0.5 * 10 + 0.25 * 1 + 1000]
    close(output[0], torch.tensor(expected).reshape(3, 1).expand(3, WIDTH), 1e-3)


@pytest.mark.parametrize("options", [{"eta": 0.0}, {"learned": True}])
def test_without_momentum_it_is_gpt2_to_the_last_bit(options):
    torch.manual_seed(0)
    plain = ordinary(GPT2LMHeadModel(GPT2Config(**SIZES))).eval()
    model = MomentumGPT(MomentumGPTConfig(**SIZES, **options)).eval()
    lacking, _ = model.load_state_dict(plain.state_dict(), strict=False)
    for block in model.transformer.h if lacking else ():
        torch.nn.init.zeros_(block.attn.gamma)
    ids = ids_of()
    assert torch.equal(logits_of(model, ids), logits_of(plain, ids))
    other = MomentumGPT(MomentumGPTConfig(**SIZES, eta=0.5)).eval()
    other.load_state_dict(plain.state_dict())
    assert (logits_of(other, ids) - logits_of(plain, ids)).abs().max() > 0.01


@each_kind
def test_later_tokens_change_nothing_earlier(kind):
    model, ids = made(kind), ids_of()
    before = logits_of(model, ids)
    for t in range(1, TOKENS):
        changed = ids.clone()
        changed[:, t:] = (changed[:, t:] + 7) % VOCABULARY
        after = logits_of(model, changed)
        close(after[:, :t], before[:, :t])
        assert (after[:, t] - before[:, t]).abs().max() > 1e-3


@each_kind
@pytest.mark.parametrize("pieces", [[1] * TOKENS, [4, 1, 6], [10, 1]])
def test_a_text_read_in_pieces_with_a_cache_is_the_text_read_at_once(kind, pieces):
    model, ids = made(kind), ids_of()
    cache = DynamicCache(config=model.config)
    parts = [logits_of(model, part, **cached(model, cache)) for part in ids.split(pieces, 1)]
    close(torch.cat(parts, 1), logits_of(model, ids, use_cache=False))


@each_kind
def test_a_cache_that_was_cropped_goes_on_with_another_text(kind):
    model, ids, other = made(kind), ids_of(), ids_of(seed=2)
    cache = DynamicCache(config=model.config)
    logits_of(model, ids, **cached(model, cache))
    cache.crop(-4)
    found = logits_of(model, other[:, :3], **cached(model, cache))
    close(found, logits_of(model, torch.cat([ids[:, : TOKENS - 4], other[:, :3]], 1))[:, -3:])
    cache.crop(-5)
    found = logits_of(model, other, **cached(model, cache))
    close(found, logits_of(model, torch.cat([ids[:, :5], other], 1))[:, 5:])


@each_kind
def test_what_it_writes_with_a_cache_is_what_it_would_write_without(kind):
    model, ids = made(kind), ids_of(rows=1)
    options = {"max_new_tokens": 8, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
    with torch.no_grad():
        written = model.generate(ids, attention_mask=torch.ones_like(ids), **options)
    for _ in range(8):
        ids = torch.cat([ids, logits_of(model, ids, use_cache=False)[:, -1:].argmax(-1)], 1)
    assert written.tolist() == ids.tolist()


@each_kind
def test_eager_sdpa_and_recording_agree(kind):
    model, ids = made(kind), ids_of(rows=1)
    found = {}
    for implementation in ("eager", "sdpa"):
        model.set_attn_implementation(implementation)
        found[implementation] = logits_of(model, ids)
    heard_outputs = [output[0, -1] for _, _, output in heard(model, ids)]
    with recording(model, attention_layers(model)) as recorded:
        found["recording"] = logits_of(model, ids)
    close(found["eager"], found["sdpa"])
    close(found["recording"], found["sdpa"])
    for layer, output in zip(recorded, heard_outputs, strict=True):
        close(layer.output[0, -1], output)


@each_kind
def test_it_is_loaded_as_it_was_saved(kind, tmp_path):
    model, ids = made(kind).float(), ids_of()
    model.save_pretrained(tmp_path)
    config = AutoConfig.from_pretrained(tmp_path)
    assert (config.learned, config.eta) == (model.config.learned, model.config.eta)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    assert type(loaded) is MomentumGPT
    assert set(loaded.state_dict()) == set(model.state_dict())
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in loaded.state_dict().items())
    assert torch.equal(logits_of(loaded.eval(), ids), logits_of(model, ids))


@pytest.mark.parametrize("learned", [False, True])
def test_a_fresh_model_begins_with_gpt2s_weights_and_the_filters_own(learned):
    sizes = SIZES | {"n_embd": 64, "n_layer": 3, "n_positions": 64}
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(MomentumGPTConfig(**sizes, learned=learned))
    seen = set()
    for name, parameter in model.named_parameters():
        kind = name.split(".")[-2] if name.endswith(("weight", "bias")) else name.split(".")[-1]
        if name.endswith("bias") or kind.startswith("ln"):
            assert torch.equal(parameter, torch.full_like(parameter, float(name.endswith("weight")))), name
            continue
        std = {"c_proj": 0.02 / math.sqrt(2 * 3), "delta": 0.2, "gamma": 1.0}.get(kind, 0.02)
        count = parameter.numel()
        assert parameter.std().item() == pytest.approx(std, rel=5 / math.sqrt(2 * count)), name
        assert abs(parameter.mean().item()) < 5 * std / math.sqrt(count), name
        seen.add(kind)
    assert seen == {"wte", "wpe", "c_attn", "c_proj", "c_fc"} | ({"delta", "gamma"} if learned else set())
    assert model.lm_head.weight is model.transformer.wte.weight
    assert logits_of(model.eval(), ids_of()).abs().max() < 5


def test_layers_and_seeds_begin_with_different_filters():
    filters = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        model = MomentumGPT(MomentumGPTConfig(**SIZES, learned=True))
        filters += [(block.attn.delta, block.attn.gamma) for block in model.transformer.h]
    for i, (delta, gamma) in enumerate(filters):
        assert not any(torch.equal(delta, other) or torch.equal(gamma, that) for other, that in filters[:i])


def test_a_filter_that_a_checkpoint_lacks_begins_as_in_a_fresh_model(tmp_path):
    """GPT-2's weights are a beginning for the filter too: what they lack is drawn, and not left as memory was."""
    GPT2LMHeadModel(GPT2Config(**SIZES)).save_pretrained(tmp_path)
    model = MomentumGPT.from_pretrained(tmp_path, config=MomentumGPTConfig(**SIZES, learned=True))
    for block in model.transformer.h:
        assert block.attn.delta.std().item() == pytest.approx(0.2, rel=0.4)
        assert block.attn.gamma.std().item() == pytest.approx(1.0, rel=0.4)


WORDS = "<end> \n : a film that is long short dull bright bad very good so la".split(" ")
DEMONSTRATIONS = [Example("a film that is long dull :", 0), Example("a film that is bright :", 1)]


@each_kind
def test_finetuning_changes_the_columns_of_keys_and_values_only(kind):
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<end>"))
    words.pre_tokenizer = pre_tokenizers.Split(" ", "removed")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<end>")
    task = TextTask("toy", "", "", "train", "test", "{{ text }} :", ("bad", "very good"), 2)
    reader = Reader(made(kind).float(), tokenizer, task)
    before = {name: value.clone() for name, value in reader.model.state_dict().items()}
    layers = attention_layers(reader.model)
    with applied(layers, finetune(reader, layers, DEMONSTRATIONS, 0.1)):
        after = {name: value.clone() for name, value in reader.model.state_dict().items()}
    changed = 0
    for name, value in before.items():
        mine = torch.arange(value.shape[-1]).expand(value.shape) >= WIDTH
        mine = mine if "c_attn" in name else torch.zeros_like(mine)
        assert torch.equal(after[name][~mine], value[~mine]), name
        changed += int((after[name] != value).sum())
    assert changed > 0.9 * LAYERS * 2 * WIDTH * WIDTH
    assert all(torch.equal(value, before[name]) for name, value in reader.model.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in reader.model.parameters())


def test_the_gradients_of_the_filter_are_those_of_small_steps():
    model, ids = made("filter"), ids_of()

    def loss():
        logits = model(input_ids=ids[:, :-1]).logits.log_softmax(-1)
        return -logits.gather(-1, ids[:, 1:, None]).mean()

    model.zero_grad()
    loss().backward()
    for block in model.transformer.h:
        for parameter in (block.attn.delta, block.attn.gamma):
            assert (parameter.grad != 0).all()
            for place in ((0, 0), (WIDTH - 1, 7), (5, 3)):
                sides = []
                for step in (1e-5, -2e-5, 1e-5):
                    parameter.data[place] += step
                    sides.append(float(loss().detach()))
                assert float(parameter.grad[place]) == pytest.approx((sides[0] - sides[1]) / 2e-5, rel=1e-4, abs=1e-9)


@pytest.mark.parametrize("kept", ["bfloat16", "float32"])
@pytest.mark.parametrize("eta", [0.9, 0.99, 0.999])
def test_the_coefficient_is_the_same_in_half_precision(eta, kept):
    """0.999 is 1 in bfloat16, and without decay. Models are in bfloat16 where they are asked on a GPU, and are trained
    under autocast.
    """
    model = MomentumGPT(MomentumGPTConfig(**SIZES | {"n_positions": 256}, eta=eta)).eval()
    attention = model.transformer.h[0].attn
    with torch.no_grad():
        attention.c_attn.weight.zero_()
        attention.c_attn.weight[:, 2 * WIDTH :] = torch.eye(WIDTH)
        attention.c_proj.weight.copy_(torch.eye(WIDTH))
        attention.to(getattr(torch, kept))
        with torch.autocast("cpu", torch.bfloat16, enabled=kept == "float32"):
            found = attention(torch.ones(1, 256, WIDTH, dtype=getattr(torch, kept)))[0]
    expected = torch.tensor([1 + sum(eta**age for age in range(1, t + 1)) for t in range(256)])
    torch.testing.assert_close(found[0, :, 0].float(), expected, rtol=0.02, atol=0)


@pytest.mark.parametrize("options", [{}, {"learned": True, "per_head": True}, {"normalised": True}])
def test_the_coefficient_of_small_networks_is_the_same_in_half_precision_too(options):
    mixer = MomentumAttention(WIDTH, LAYERS, heads=2, eta=0.99, **options)
    with torch.no_grad():
        found = mixer.momentum(torch.ones(1, 2, 256, 3, dtype=torch.bfloat16)).float()
    gain = 0.01 / 0.99 if "normalised" in options else 1
    expected = torch.tensor([gain * sum(0.99**age for age in range(1, t + 1)) for t in range(256)])
    torch.testing.assert_close(found, expected.reshape(256, 1).expand_as(found), rtol=0.02, atol=0)
