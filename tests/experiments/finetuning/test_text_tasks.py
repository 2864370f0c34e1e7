"""Cards of labelled texts, and what is said of those that do not fit."""

import json

import pytest

from llm_icl.errors import RequestError
from llm_icl.experiments.finetuning.text_tasks import Example, load_splits, load_text_task, shuffled, text_task_names
from tests.inside import run_inside

CARD = """
hub: nobody/nothing
training: train
evaluation: test
template: 'Text: {{ text }} Label:'
labels: [bad, good]
demonstrations: 2
"""


def write(folder, card=CARD, rows=({"text": "a  b", "label": 1}, {"text": "c", "label": 0})):
    (folder / "own.yaml").write_text(card)
    (folder / "own").mkdir(exist_ok=True)
    for split in ("train", "test"):
        (folder / "own" / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_text_task(str(folder / "own.yaml"))


def test_the_six_sets_of_the_paper_are_there():
    assert set(text_task_names()) == {"agnews", "cb", "mr", "sst2", "sst5", "subj"}
    words = {name: load_text_task(name).labels for name in text_task_names()}
    assert words["cb"] == ("True", "False", "Neither")
    assert {name: len(labels) for name, labels in words.items()} == {
        "agnews": 4, "cb": 3, "mr": 2, "sst2": 2, "sst5": 5, "subj": 2,
    }  # fmt: skip


def test_examples_are_written_as_the_card_says(tmp_path):
    splits = load_splits(write(tmp_path), tmp_path)
    assert splits.training == [Example("Text: a b Label:", 1), Example("Text: c Label:", 0)]
    assert splits.evaluation == splits.training


def test_the_order_is_that_of_datasets():
    datasets = pytest.importorskip("datasets")
    examples = [Example(str(i), 0) for i in range(40)]
    truth = datasets.Dataset.from_dict({"i": list(range(40))}).shuffle(seed=7)["i"]
    assert [int(example.text) for example in shuffled(examples, 7)] == list(truth)


@pytest.mark.parametrize(
    ("card", "rows", "message"),
    [
        (CARD, [{"words": "a", "label": 1}], "train, row 1: 'text' is undefined; its columns are words, label"),
        (CARD, [{"text": "a"}], "train, row 1: no column 'label'; its columns are text"),
        (CARD, [{"text": "a", "label": 2}], "label 2 is not in the card: labels are numbers from 0 to 1"),
        (CARD, [{"text": "a", "label": "good"}], "label 'good' is not in the card"),
        (CARD, [], "the split train is empty"),
        (CARD.replace("[bad, good]", "[bad, bad]"), None, "two labels have the same word"),
        (CARD.replace("[bad, good]", "[true, false]"), None, "in quotation marks where YAML would read another type"),
        (CARD.replace("hub", "hob"), None, "unknown field 'hob'"),
    ],
)
def test_what_does_not_fit_is_one_clear_line(tmp_path, card, rows, message):
    with pytest.raises(RequestError) as caught:
        load_splits(write(tmp_path, card, rows or []), tmp_path)
    assert message in str(caught.value)


def test_requests_that_cannot_be_met(tmp_path):
    write(tmp_path)
    for arguments, message in (
        ("--dataset sts2", "unknown dataset 'sts2': did you mean 'sst2'"),
        (f"--dataset sst2 --data-dir {tmp_path}", "--data-dir must contain sst2/train.jsonl"),
        (f"--dataset {tmp_path}/own.yaml --data-dir {tmp_path}", "has 2 training texts, too few for"),
        (
            "--dataset sst2 --model gpt-4.1",
            "'gpt-4.1': the backend 'openai' gives no access to attention and gradients",
        ),
        (
            f"--dataset {tmp_path}/own.yaml --data-dir {tmp_path} --rates fast",
            "--rates 'fast' is not a list of numbers above 0",
        ),
    ):
        done = run_inside("finetune-vs-icl", *arguments.split(), cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert message in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "outputs").exists()
