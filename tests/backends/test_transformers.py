"""Real transformers models with random weights: every way of asking must give what the plain separate prompts give."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from llm_icl.asking.plan import plan_for
from llm_icl.backends import backends, find_model
from llm_icl.config.specs import parse_specs
from llm_icl.errors import RequestError
from llm_icl.problems import STATUSES
from llm_icl.prompting import load_prompt, render
from llm_icl.tasks.cards import load_task
from llm_icl.tasks.drawing import draw_problems
from tests.asking.ask import ask

# Largest difference of a probability between two ways of computing it in float32.
TOLERANCE = 1e-5


def load(path):
    entry = find_model(f"hf/{path}")
    return backends.get(entry.backend)(entry)


def draw(task="majority", n=5, points=20, problems=3):
    return draw_problems(load_task(parse_specs([task])[0]), n, points, problems, 0)


def plain_probabilities(path, problems, prompt, label_texts):
    """P(1) by one whole forward pass for each prompt and label, with nothing shared: the definition."""
    tokenizer, model = AutoTokenizer.from_pretrained(path), AutoModelForCausalLM.from_pretrained(path).eval()
    loaded = load_prompt(parse_specs([prompt])[0])
    result = np.empty(problems.ys.shape)
    for i in range(len(problems)):
        for k in range(problems.points):
            text = render(loaded, problems, i, k).completion()
            sequences = [tokenizer(text + label)["input_ids"] for label in label_texts]
            common = next(j for j, (a, b) in enumerate(zip(*sequences, strict=False)) if a != b)
            totals = []
            for tokens in sequences:
                with torch.no_grad():
                    logits = model(torch.tensor([tokens])).logits[0].double()
                steps = torch.log_softmax(logits, dim=-1)[range(common - 1, len(tokens) - 1), tokens[common:]]
                totals.append(float(steps.sum()))
            result[i, k] = 1 / (1 + np.exp(totals[0] - totals[1]))
    return result


@pytest.mark.parametrize("mode", ["curve", "positions"])
def test_queries_behind_the_same_examples_are_asked_together_and_answered_as_alone(tiny_model, tmp_path, mode):
    path, problems = tiny_model.gpt2(), draw(points=12)
    queries = np.random.default_rng(0).integers(0, 2, (3, 8, 5), dtype=np.uint8)
    asked = problems.followed_by(queries)
    model = load(path)
    passes = []
    model._model.register_forward_pre_hook(lambda *given: passes.append(1))
    answers = ask(model, "basic", asked, tmp_path, mode, [12]).answers
    if mode == "curve":
        # The examples of each problem, then all its queries; and once what all share, and rows to compare with.
        assert len(passes) == 2 * 3 + 1 + 1
    alone = [ask(load(path), "basic", asked[i : i + 1], tmp_path / str(i), "positions", [12]) for i in range(24)]
    np.testing.assert_allclose(
        answers.probability[:, 0], [each.answers.probability[0, 0] for each in alone], atol=TOLERANCE
    )


@pytest.mark.parametrize("kind", ["gpt2", "sliding"])
@pytest.mark.parametrize("mode", ["curve", "positions"])
def test_one_pass_and_reused_prefixes_give_the_probabilities_of_separate_prompts(tiny_model, tmp_path, kind, mode):
    path, problems = getattr(tiny_model, kind)(), draw()
    answers = ask(load(path), "basic", problems, tmp_path, mode).answers
    plain = plain_probabilities(path, problems, "basic", (" 0", " 1"))
    assert plain.std() > 0.001  # the comparison can fail
    np.testing.assert_allclose(answers.probability, plain, atol=TOLERANCE)


@pytest.mark.parametrize("prompt", ["basic:inputs=compact", "basic:inputs=list,labels=A/B", "instruction"])
def test_other_ways_to_write_a_problem_are_scored_as_exactly(tiny_model, tmp_path, prompt):
    path, problems = tiny_model.gpt2(), draw("conjunction", problems=2, points=8)
    labels = (" A", " B") if "A/B" in prompt else (" 0", " 1")
    answers = ask(load(path), prompt, problems, tmp_path, "curve").answers
    np.testing.assert_allclose(answers.probability, plain_probabilities(path, problems, prompt, labels), atol=TOLERANCE)


@pytest.mark.parametrize("kind", ["gpt2", "sliding"])
def test_a_long_instruction_is_computed_once_and_changes_nothing(tiny_model, tmp_path, kind):
    path, problems = getattr(tiny_model, kind)(), draw("conjunction", problems=3, points=8)
    model = load(path)
    answers = ask(model, "pac", problems, tmp_path, "curve").answers
    assert len(model._prefixes.last.tokens) > 100
    np.testing.assert_allclose(
        answers.probability, plain_probabilities(path, problems, "pac", (" 0", " 1")), atol=TOLERANCE
    )


def test_labels_of_several_tokens_are_scored_whole_and_refused_on_a_curve(tiny_model, tmp_path):
    path, problems, prompt = tiny_model.sliding(), draw(problems=2, points=6), "basic:labels=no/yes"
    with pytest.raises(RequestError, match="are 2 and 3 tokens, and must be one each"):
        ask(load(path), prompt, problems, tmp_path, "curve")
    answers = ask(load(path), prompt, problems, tmp_path, "positions").answers
    plain = plain_probabilities(path, problems, prompt, (" no", " yes"))
    np.testing.assert_allclose(answers.probability, plain, atol=TOLERANCE)


def test_a_tokenizer_that_merges_the_label_with_the_next_line_is_refused_on_a_curve(tiny_model, tmp_path):
    from tokenizers import Tokenizer

    path = tiny_model.gpt2()
    merging = Tokenizer.from_file(str(path / "tokenizer.json"))
    from tokenizers import models, pre_tokenizers

    vocabulary = merging.get_vocab()
    for token in ("0Ċ", "1Ċ"):
        vocabulary[token] = len(vocabulary)
    merging.model = models.BPE(vocabulary, [("0", "Ċ"), ("1", "Ċ")])
    merging.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    merging.save(str(path / "tokenizer.json"))
    model = AutoModelForCausalLM.from_pretrained(path)
    model.resize_token_embeddings(len(vocabulary))
    model.save_pretrained(path)
    problems = draw(problems=1, points=5)
    with pytest.raises(RequestError, match="merges the label at position 0 with its neighbours"):
        ask(load(path), "basic", problems, tmp_path, "curve")
    plan = plan_for(load(path), load_prompt(parse_specs(["basic"])[0]), problems, range(5))
    assert plan.mode == "positions"
    assert "merges the label" in plan.reasons[0]


def test_a_problem_is_answered_bit_for_bit_alike_in_any_company(tiny_model, tmp_path):
    path, problems = tiny_model.gpt2(), draw(problems=6)
    model = load(path)
    together = ask(model, "basic", problems, tmp_path / "a", "curve").answers.probability
    for i in range(6):
        alone = ask(model, "basic", problems[i : i + 1], tmp_path / f"{i}", "curve").answers.probability
        np.testing.assert_array_equal(alone[0], together[i])


def test_positions_beyond_the_context_are_too_long_and_the_others_are_answered(tiny_model, tmp_path):
    path, problems = tiny_model.gpt2(context=200), draw(points=30)
    model = load(path)
    assert model.context_length == 200
    for mode in ("curve", "positions", "generate"):
        answers = ask(model, "basic", problems, tmp_path / mode, mode).answers
        status = np.array(STATUSES)[answers.status]
        assert (status[:, 0] != "too_long").all()
        assert (status[:, -1] == "too_long").all()
        assert (answers.prediction[status == "too_long"] == -1).all()


def test_generation_is_greedy_stops_and_is_parsed_strictly(tiny_model, tmp_path):
    path, problems = tiny_model.gpt2(), draw(problems=2, points=6)
    carried = ask(load(path), "basic", problems, tmp_path, "generate", [0, 5])
    answers, exchanges = carried.answers, carried.exchanges
    assert carried.new == len(exchanges) == 4
    tokenizer, model = AutoTokenizer.from_pretrained(path), AutoModelForCausalLM.from_pretrained(path).eval()
    for exchange in exchanges:
        tokens = tokenizer(exchange["text"], return_tensors="pt")["input_ids"]
        for _ in range(2):
            with torch.no_grad():
                best = model(tokens).logits[0, -1].argmax()
            tokens = torch.cat([tokens, best.view(1, 1)], dim=1)
        written = tokenizer.decode(tokens[0, -2:], skip_special_tokens=True)
        assert written.startswith(exchange["reply"]["text"])
    assert set(np.unique(answers.prediction)) <= {-1, 0, 1}
    assert np.isnan(answers.probability).all()


def test_models_have_different_names_and_a_changed_model_is_another_model(tiny_model, tmp_path):
    path = tiny_model.gpt2()
    one = find_model(str(path))
    assert one.name == f"hf/{path}"
    assert find_model(f"{path}:dtype=bfloat16,chat=true").name == f"hf/{path}:dtype=bfloat16,chat=true"
    (path / "config.json").touch()
    assert find_model(str(path)) != one
    assert find_model("SmolLM2-135M") == find_model("smollm2-135m")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hf/{folder}/short.gguf", "cannot be loaded"),
        ("smollm2-135m:chat=maybe", "chat must be true or false"),
        ("hf/" + "x" * 400, "cannot be loaded"),
        ("hf/no/such/folder/at all", "there is no such file or folder"),
        ("hf/{folder}/broken.gguf", "is not a GGUF file"),
        ("hf/{folder}/absent.gguf", "there is no such file or folder"),
        ("hf/{folder}", "the folder holds no model"),
        ("smollm2-135m:dtype=int4", "dtype=int4 is not one of"),
        ("smollm2-135m:colour=red", "no option 'colour'"),
        ("smollm", "did you mean 'smollm2-135m'"),
    ],
)
def test_a_model_that_cannot_be_had_is_one_clear_error(tmp_path, monkeypatch, name, message):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "broken.gguf").write_bytes(b"not a model")
    (tmp_path / "short.gguf").write_bytes(b"GGUF")

    def load_named():
        entry = find_model(name.format(folder=tmp_path))
        return backends.get(entry.backend)(entry)

    with pytest.raises(RequestError, match=message) as raised:
        load_named()
    assert "\n" not in str(raised.value)
