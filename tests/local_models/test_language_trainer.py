"""Language models are trained on the batches, at the rates and to the losses that the schedule says."""

import json
import math
from types import SimpleNamespace

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from local_models import language_trainer
from local_models.language_trainer import LanguageSchedule, batch_of, losses, train
from local_models.momentum_gpt import MomentumGPT, MomentumGPTConfig
from local_models.trainer import CHECKPOINT, TrainingError

VOCABULARY = 40
SIZES = {
    "vocab_size": VOCABULARY, "n_positions": 16, "n_embd": 16, "n_layer": 2, "n_head": 2, "resid_pdrop": 0.0,
    "embd_pdrop": 0.0, "attn_pdrop": 0.0, "bos_token_id": 0, "eos_token_id": 0,
}  # fmt: skip


def schedule_of(**more):
    defaults = {"steps": 12, "batch": 3, "length": 8, "rate": 1e-2, "warmup": 3, "seed": 1, "evaluate_every": 5}
    return LanguageSchedule(**defaults | more)


def model_of(seed=0, **momentum):
    torch.manual_seed(seed)
    if momentum:
        return MomentumGPT(MomentumGPTConfig(**SIZES, **momentum))
    return GPT2LMHeadModel(GPT2Config(**SIZES))


def sharp(model):
    for parameter in model.parameters():
        parameter.data.mul_(8)
    return model


def random_text(tokens, seed=0):
    return torch.randint(VOCABULARY, (tokens,), generator=torch.Generator().manual_seed(seed))


class Stub(torch.nn.Module):
    """A model whose next token has the same logits whatever came before; it keeps what it was asked."""

    def __init__(self, logits):
        super().__init__()
        self.logits = torch.nn.Parameter(torch.as_tensor(logits))
        self.asked = []

    def forward(self, input_ids, use_cache):
        self.asked.append(input_ids)
        return SimpleNamespace(logits=self.logits.expand(*input_ids.shape, -1))


def quietly(*_):
    pass


# --- the schedule ---


def test_the_rate_rises_to_its_greatest_value_and_falls_in_a_line_to_the_end():
    schedule = schedule_of(steps=110, warmup=10)
    known = {0: 1 / 11, 4: 5 / 11, 9: 10 / 11, 10: 1.0, 35: 0.75, 60: 0.5, 109: 0.01}
    assert [schedule.learning_rate_factor(step) for step in known] == pytest.approx(list(known.values()))
    shares = [schedule.learning_rate_factor(step) for step in range(110)]
    assert sum(share == 1.0 for share in shares) == 1
    assert shares == sorted(shares[:11]) + sorted(shares[11:], reverse=True)


@pytest.mark.parametrize("steps", [1, 5])
def test_without_a_warm_up_the_rate_only_falls(steps):
    schedule = schedule_of(steps=steps, warmup=0)
    assert [schedule.learning_rate_factor(step) for step in range(steps)] == pytest.approx(
        [1 - i / steps for i in range(steps)]
    )


def test_the_clip_is_that_of_the_paper():
    assert schedule_of().clip == 2.0


# --- batches ---


def test_the_batch_of_a_step_is_the_same_whenever_it_is_asked_for():
    text, schedule = random_text(500), schedule_of()
    torch.manual_seed(1)
    first = [batch_of(text, schedule, step) for step in (0, 7, 3)]
    torch.manual_seed(2)
    assert all(torch.equal(batch_of(text, schedule, step), batch) for step, batch in zip((0, 7, 3), first, strict=True))


def test_a_batch_is_whole_pieces_of_the_text_that_begin_anywhere_in_it():
    text = torch.arange(100, 115)  # the place of a token is told by its number: pieces of 9 begin at 0 to 6
    schedule, begun = schedule_of(batch=4), []
    for step in range(500):
        batch = batch_of(text, schedule, step)
        assert batch.shape == (4, 9)
        for piece in batch:
            assert piece.tolist() == list(range(int(piece[0]), int(piece[0]) + 9))
            begun.append(int(piece[0]) - 100)
    counts = [begun.count(place) for place in range(7)]
    assert sum(counts) == 2000
    expected = 2000 / 7
    assert all(abs(count - expected) < 5 * math.sqrt(expected) for count in counts)


def test_a_text_of_one_piece_is_that_piece():
    text = random_text(9)
    assert torch.equal(batch_of(text, schedule_of(batch=2), 5), text.expand(2, 9))


def test_every_seed_and_step_has_a_batch_of_its_own():
    text = random_text(100_000)
    drawn = {
        tuple(batch_of(text, schedule_of(seed=seed), step).flatten().tolist()) for seed in range(6) for step in range(6)
    }
    assert len(drawn) == 36
    greatest = batch_of(text, schedule_of(seed=2**32 - 1), 2**31)
    assert tuple(greatest.flatten().tolist()) not in drawn


# --- losses on a text ---


@pytest.mark.parametrize("length", [4, 8, 16])
def test_even_odds_cost_the_logarithm_of_the_vocabulary_a_token(length):
    found = losses(Stub(torch.zeros(VOCABULARY)), random_text(16 * 5 + 1), length, 16)
    assert found.dtype == torch.float64
    assert found.tolist() == pytest.approx([16 * math.log(VOCABULARY)] * 5)


@pytest.mark.parametrize("at_once", [1, 12, 8192])
def test_the_tokens_that_are_predicted_are_the_same_at_every_length(monkeypatch, at_once):
    """Where the loss of a token depends on that token only, it tells which tokens were predicted."""
    monkeypatch.setattr(language_trainer, "_AT_ONCE", at_once)
    text, scores = random_text(16 * 5 + 9), torch.randn(VOCABULARY, generator=torch.Generator().manual_seed(3))
    own = -scores.double().log_softmax(-1)[text]
    expected = [float(own[1 + 16 * i : 17 + 16 * i].sum()) for i in range(5)]
    for length in (1, 2, 4, 8, 16):
        model = Stub(scores)
        assert losses(model, text, length, 16).tolist() == pytest.approx(expected, rel=1e-6)
        asked = torch.cat(model.asked)
        assert asked.flatten().tolist() == text[: 16 * 5].tolist()
        assert asked.shape[1] == length


@pytest.mark.parametrize("momentum", [{}, {"eta": 0.7}, {"learned": True}])
@pytest.mark.parametrize("length", [1, 4, 8])
def test_a_token_is_predicted_from_the_tokens_of_its_own_piece_only(momentum, length):
    """Each prefix is fed on its own."""
    model, text, window = sharp(model_of(**momentum)).eval(), random_text(8 * 3 + 5), 8
    expected = [0.0] * 3
    with torch.no_grad():
        for place in range(1, 3 * window + 1):
            begin = (place - 1) // length * length
            logits = model(input_ids=text[None, begin:place]).logits[0, -1]
            expected[(place - 1) // window] -= float(logits.double().log_softmax(-1)[text[place]])
    assert losses(model, text, length, window).tolist() == pytest.approx(expected, rel=1e-5)


def test_trying_a_model_leaves_no_gradients():
    model = model_of()
    assert not losses(model, random_text(17), 16, 16).requires_grad
    assert not model.training


# --- training ---


def adam_by_hand(model, schedule, text, steps):
    """The steps of Kingma & Ba's Adam on clipped gradients, written out."""
    first = [torch.zeros_like(p) for p in model.parameters()]
    second = [torch.zeros_like(p) for p in model.parameters()]
    for step in range(steps):
        ids = batch_of(text, schedule, step)
        log_odds = model(input_ids=ids[:, :-1]).logits.log_softmax(-1)
        loss = -log_odds.gather(-1, ids[:, 1:, None]).mean()
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        norm = math.sqrt(sum(float((g.double() ** 2).sum()) for g in gradients))
        rate = schedule.rate * schedule.learning_rate_factor(step)
        with torch.no_grad():
            for p, g, m, v in zip(model.parameters(), gradients, first, second, strict=True):
                g = g * min(1.0, schedule.clip / norm)
                m.mul_(0.9).add_(0.1 * g)
                v.mul_(0.98).add_(0.02 * g**2)
                p -= rate * (m / (1 - 0.9 ** (step + 1))) / ((v / (1 - 0.98 ** (step + 1))).sqrt() + 1e-6)
        yield float(loss.detach()), norm


@pytest.mark.parametrize("momentum", [{}, {"learned": True}])
def test_its_steps_are_adams_on_clipped_gradients(tmp_path, momentum):
    schedule, text, told = schedule_of(steps=6, warmup=2, clip=0.6), random_text(300), []
    # In double precision: in single precision two orders of the same sums drift apart within six steps.
    model, other = sharp(model_of(**momentum)).double(), sharp(model_of(**momentum)).double()
    train(model, schedule, text, random_text(30, 1), tmp_path, lambda *what: told.append(what))
    done = list(adam_by_hand(other, schedule, text, 6))
    norms = [norm for _, norm in done]
    assert max(norms) > 2 * schedule.clip  # so that clipping shows
    assert [step for step, *_ in told] == [1, 2, 3, 4, 5, 6]
    assert [loss for _, loss, *_ in told] == pytest.approx([loss for loss, _ in done], rel=1e-4)
    for (name, found), expected in zip(model.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(found, expected, atol=2e-4, rtol=0, msg=name)


def test_a_repetitive_text_is_learned(tmp_path):
    order = torch.randperm(VOCABULARY, generator=torch.Generator().manual_seed(5))
    text = order.repeat(20)
    model = model_of()
    before = float(losses(model, text, 8, 8).mean()) / 8
    assert before == pytest.approx(math.log(VOCABULARY), rel=0.05)
    train(model, schedule_of(steps=120, batch=8), text, text[:200], tmp_path, quietly)
    assert float(losses(model, text, 8, 8).mean()) / 8 < 0.5


def test_what_is_told_and_written_down_is_the_loss_of_held_out_text(tmp_path):
    model, held, told = model_of(), random_text(8 * 4 + 3, 1), []
    train(model, schedule_of(), random_text(300), held, tmp_path, lambda *what: told.append(what))
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [5, 10, 12]
    assert [tried for _, _, tried, _ in told] == [
        *[None] * 4, *[lines[0]["held_out_loss"]] * 5, *[lines[1]["held_out_loss"]] * 2, lines[2]["held_out_loss"]
    ]  # fmt: skip
    assert lines[-1]["held_out_loss"] == pytest.approx(float(losses(model, held, 8, 8).sum()) / 32)
    assert all(line["steps_per_second"] > 0 for line in lines)


@pytest.mark.parametrize("stop", [3, 5, 8])
def test_stopped_anywhere_it_goes_on_to_the_same_weights(tmp_path, stop):
    text, held = random_text(300), random_text(30, 1)
    whole, cut, other = (model_of(seed, learned=True) for seed in (0, 0, 7))
    train(whole, schedule_of(), text, held, tmp_path, quietly)
    (tmp_path / "cut").mkdir()

    def end(step, *_):
        if step == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(cut, schedule_of(), text, held, tmp_path / "cut", end)
    again, seen = (other if stop >= 5 else model_of(0, learned=True)), []
    train(again, schedule_of(), text, held, tmp_path / "cut", lambda step, *_: seen.append(step))
    assert seen == list(range(stop // 5 * 5 + 1, 13))
    for (name, found), expected in zip(again.named_parameters(), whole.parameters(), strict=True):
        assert torch.equal(found, expected), name


def test_a_loss_that_is_no_number_stops_with_the_step_and_the_seed(tmp_path):
    with pytest.raises(
        TrainingError, match=r"is (nan|inf) at step 2 of 12, with learning rate \S+ and seed 3: try a smaller learning"
    ):
        train(model_of(), schedule_of(rate=1e38, seed=3), random_text(300), random_text(30), tmp_path, quietly)
    assert not (tmp_path / CHECKPOINT).exists()


def test_a_context_longer_than_what_is_usually_validated_on_is_validated_on_nevertheless(tmp_path, monkeypatch):
    monkeypatch.setattr(language_trainer, "_VALIDATION", 8)
    model, held = model_of(), random_text(40, 1)
    train(model, schedule_of(length=16, steps=1, warmup=0), random_text(300), held, tmp_path, quietly)
    line = json.loads((tmp_path / "metrics.jsonl").read_text())
    assert math.isfinite(line["held_out_loss"])
