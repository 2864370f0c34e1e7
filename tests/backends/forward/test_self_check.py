"""What is wrong with a model is found before anything is asked of it: refused, or not relied on."""

import json

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertLMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from llm_icl.backends import backends, find_model
from llm_icl.backends.forward.known import Reuse
from llm_icl.backends.forward.self_check import check_language_model
from llm_icl.backends.lengths import context_length, turning_length
from llm_icl.config.specs import parse_specs
from llm_icl.errors import RequestError
from llm_icl.tasks.cards import load_task
from llm_icl.tasks.drawing import draw_problems
from local_models.kv_cache import cached
from tests.asking.ask import ask
from tests.backends.architectures.families import VOCABULARY, tiny_config, tiny_model
from tests.backends.architectures.measuring import plain_probabilities, prompt_of, saved, tokenizer_of
from tests.inside import run_inside

PROMPT = "basic:inputs=compact"
EVERYTHING = Reuse(batches=True, forks=True, crops=True, reasons=())
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
EVAL = f"eval --task majority --n 3 --points 4 --problems 2 --prompt {PROMPT} --no-shuffled-labels".split()


def spoiled(change, name="llama"):
    """A tiny model whose logits are changed by `change(logits, tokens, cache)`, or whose passes raise its error."""
    model = tiny_model(name)
    honest, (named, _) = model.forward, cached(model, None)

    def forward(input_ids=None, cache=None, use_cache=None):
        found = honest(input_ids=input_ids, use_cache=use_cache, **{named: cache})
        found.logits = change(found.logits, input_ids, cache)
        return found

    model.forward = forward
    return model


def check(model):
    return check_language_model("mine", model, tokenizer_of(VOCABULARY))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma3_text", "mixtral", "bloom"])
def test_an_honest_model_is_relied_on_in_any_precision(name, dtype):
    assert check(tiny_model(name).to(dtype)) == EVERYTHING


def later_tokens(logits, tokens, cache):
    return logits + 0.01 * logits.mean(dim=1, keepdim=True)


def other_at_each_call(logits, tokens, cache):
    return logits + 0.1 * torch.randn_like(logits)


def longer_sequences(logits, tokens, cache):
    return logits * (1 + 0.01 * tokens.shape[1])


REFUSED = {
    later_tokens: "not causal: later tokens change its outputs at earlier ones",
    other_at_each_call: "gives other outputs at each call",
    longer_sequences: "not causal",
    (lambda logits, *_: logits * float("nan")): "its outputs are not finite",
    (lambda logits, *_: logits[:, 1:]): "gives logits at 15 positions instead of 16",
    (lambda logits, *_: logits.no_such_method()): "AttributeError",
}


@pytest.mark.parametrize("change", REFUSED)
def test_a_model_that_cannot_be_relied_on_at_all_is_refused(change):
    with pytest.raises(RequestError, match=REFUSED[change]) as raised:
        check(spoiled(change))
    assert "\n" not in str(raised.value)


def continued(logits, cache):
    return cache is not None and cache.get_seq_length() > logits.shape[1]


def neighbours(logits, tokens, cache):
    return logits + 0.05 * (logits.flip(0) if len(logits) > 1 else 0)


def continuations(logits, tokens, cache):
    return logits.flip(-1) if continued(logits, cache) else logits


def single_tokens(logits, tokens, cache):
    return logits.flip(-1) if continued(logits, cache) and tokens.shape[1] == 1 else logits


def caches(logits, tokens, cache):
    return logits if cache is None else cache.no_such_method()


UNUSED = {
    neighbours: (Reuse(batches=False, forks=True, crops=True, reasons=()), ["problems are not batched"]),
    continuations: (
        Reuse(batches=True, forks=False, crops=False, reasons=()),
        ["no prefix is read once for several prompts (probabilities differ by up to", "no cache is cut back"],
    ),
    single_tokens: (
        Reuse(batches=True, forks=False, crops=True, reasons=()), ["no prefix is read once for several prompts"]
    ),
    caches: (
        Reuse(batches=True, forks=False, crops=False, reasons=()),
        ["no prefix is read once for several prompts (AttributeError", "no cache is cut back (AttributeError"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", UNUSED)
def test_what_gives_other_probabilities_is_not_used_and_the_reason_said(change):
    expected, reasons = UNUSED[change]
    found = check(spoiled(change))
    assert (found.batches, found.forks, found.crops) == (expected.batches, expected.forks, expected.crops)
    assert [said.startswith(reason) for said, reason in zip(found.reasons, reasons, strict=True)] == [True] * len(
        reasons
    )


def test_a_cache_that_is_ignored_is_found_in_half_precision_too():
    found = check(tiny_model("rwkv").to(torch.bfloat16))
    assert not found.forks
    assert not found.crops


def test_a_cache_that_does_not_go_back_is_still_continued():
    found = check(tiny_model("granitemoehybrid"))
    assert found.forks
    assert not found.crops
    assert found.reasons == ("no cache is cut back (recurrent layers only go forward)",)


def test_a_tokenizer_that_knows_none_of_the_words_is_no_obstacle():
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = Tokenizer(models.WordLevel({"<unknown>": 0, "a": 1}, unk_token="<unknown>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unknown>")
    check_language_model("mine", tiny_model("llama"), tokenizer)


def test_a_tokenizer_of_another_model_is_refused(tmp_path):
    with pytest.raises(RequestError, match=r"its tokenizer writes token \d+, and it has embeddings for 200"):
        check(LlamaForCausalLM(LlamaConfig(**SMALL, vocab_size=200)))
    _, model = loaded("llama", tmp_path / "model")
    model._tokenizer.add_tokens([f"word{i}" for i in range(VOCABULARY)])
    model.tokenize(["word0"])
    with pytest.raises(RequestError, match=f"its tokenizer writes token .* and it has embeddings for {VOCABULARY}"):
        model.tokenize([f"word{VOCABULARY - 1}"])


def test_an_encoder_with_fresh_weights_is_refused_although_it_hardly_looks_ahead(tmp_path):
    torch.manual_seed(0)
    model = BertLMHeadModel(BertConfig(**SMALL, vocab_size=VOCABULARY)).eval()
    with pytest.raises(RequestError, match="not causal"):
        check(model)


@pytest.mark.parametrize("weights", ["", ":weights=random"])
def test_training_on_a_model_that_sees_the_labels_is_refused(tmp_path, weights):
    saved("electra", tmp_path / "model")
    spec = f"hf/{tmp_path / 'model'}{weights}"
    done = run_inside(
        *"train --task majority --n 3 --points 4 --steps 1 --architecture".split(), spec, "--out", tmp_path / "out"
    )
    assert done.returncode == 2, done.stderr
    assert "not causal" in done.stderr


def test_a_run_says_what_was_not_relied_on(tmp_path):
    saved("rwkv", tmp_path / "model")
    done = run_inside(*EVAL, "--model", tmp_path / "model", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    (mode,) = json.loads((tmp_path / "out" / "run.json").read_text())["modes"]
    assert mode["mode"] == "curve"
    assert mode["because"][0].startswith("no prefix is read once for several prompts (probabilities differ by up to 0.")
    assert "no prefix is read once" in (tmp_path / "out" / "report.md").read_text()


def loaded(name, folder):
    plain = saved(name, folder)
    return plain, backends.get("hf")(find_model(f"hf/{folder}"))


def problems(count=2):
    return draw_problems(load_task(parse_specs(["majority"])[0]), 3, 6, count, 0)


@pytest.mark.parametrize(("name", "share"), [("granitemoehybrid", 0.5), ("rwkv", 1.0)])
def test_separate_prompts_that_continue_each_other_are_read_on_if_that_is_right(tmp_path, name, share):
    _, model = loaded(name, tmp_path / "model")
    counted = []
    model._model.register_forward_pre_hook(
        lambda module, positional, named: counted.append(named["input_ids"].shape[1]), with_kwargs=True
    )
    ask(model, PROMPT, problems(1), tmp_path, "positions")
    whole = sum(len(model.tokenize([prompt_of(problems(1), 0, position)])[0]) for position in range(6))
    assert sum(counted) <= share * whole


def test_several_problems_go_together_where_there_is_room_and_alone_where_that_is_wrong(tmp_path):
    plain, model = loaded("mistral", tmp_path / "model")
    sizes = []
    model._model.register_forward_pre_hook(
        lambda module, positional, named: sizes.append(len(named["input_ids"])), with_kwargs=True
    )
    model.problems_at_once = 4
    found = ask(model, PROMPT, problems(4), tmp_path, "curve").answers.probability
    assert max(sizes) == 4
    np.testing.assert_allclose(found, plain_probabilities(plain, model._tokenizer, problems(4)), atol=1e-5)


def test_replies_are_the_likeliest_tokens_whatever_the_checkpoint_asks_for(tmp_path):
    _, model = loaded("llama", tmp_path / "model")
    asked = {"repetition_penalty": 5.0, "do_sample": True, "num_beams": 3, "forced_bos_token_id": 7, "min_length": 90}
    (tmp_path / "model" / "generation_config.json").write_text(json.dumps(asked))
    other = backends.get("hf")(find_model(f"hf/{tmp_path / 'model'}"))
    texts = [prompt_of(problems(), 0, position) for position in (0, 3)]
    assert model.generate(texts, 8, ["\n"]) == other.generate(texts, 8, ["\n"])


@pytest.mark.parametrize(
    ("name", "length"),
    [("llama", 512), ("roberta: decoder", 511), ("xlm-roberta: decoder", 511), ("opt", 512), ("xlnet: uni", None),
     ("mamba", None), ("mpt", 2048)],
)  # fmt: skip
def test_the_context_is_as_long_as_the_positions_last(name, length):
    model = tiny_model(name)
    assert context_length(model) == length
    if length is not None:
        model(input_ids=torch.full((1, length), 5))


def test_only_longrope_turns():
    assert turning_length(tiny_model("phi3: LongRoPE")) == 64
    assert turning_length(tiny_model("llama: YaRN")) is None
    assert turning_length(tiny_model("gemma3_text")) is None
    assert tiny_config("phi3: LongRoPE").max_position_embeddings > 64


def test_prompts_on_both_sides_of_the_turn_are_asked_apart(tmp_path):
    plain, model = loaded("phi3: LongRoPE", tmp_path / "model")
    expected = plain_probabilities(plain, model._tokenizer, problems())
    lengths = [len(model.tokenize([prompt_of(problems(), 0, position)])[0]) for position in range(6)]
    assert lengths[0] <= model.turning_length < lengths[1]
    with pytest.raises(RequestError, match="encodes the positions of prompts of more than 64 tokens differently"):
        ask(model, PROMPT, problems(), tmp_path, "curve")
    for mode, positions in (("positions", range(6)), ("curve", range(1, 6)), ("curve", [0])):
        found = ask(model, PROMPT, problems(), tmp_path / f"{mode}{len(positions)}", mode, positions).answers
        np.testing.assert_allclose(found.probability, expected[:, list(positions)], atol=1e-5)
