"""Prompts that are asked elsewhere, and brought back, give the same run as asking directly."""

import json
import shutil

import numpy as np
import pytest

import llm_icl
from llm_icl.backends.catalogue import find_model
from llm_icl.backends.embedded import embedded_weights
from llm_icl.errors import RequestError
from llm_icl.runs import RunDirectory
from tests.inside import run_inside

DRAWN = ["--task", "majority", "--n", "3", "--points", "6", "--problems", "4"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Prompts of the same problems, as text and as the turns of a chat."""
    folder = tmp_path_factory.mktemp("asked-elsewhere")
    for name, prompt in (("text", "basic"), ("chat", "chat-turns")):
        done = run_inside("sample", *DRAWN, "--prompts", "--prompt", prompt, "--to", f"{name}.jsonl", cwd=folder)
        assert done.returncode == 0, done.stderr
        assert "24 prompts of 4 problems" in done.stdout
    return folder


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def imported(folder, filled, out, *more, name="answers.jsonl"):
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in filled))
    done = run_inside("import", name, "--learner", "averaging", "--out", out, *more, cwd=folder)
    return done, (RunDirectory(folder / out) if (folder / out).exists() else None)


def answers_of(run):
    return run.predictions().filter(prompt="basic").sort("problem", "position")


@pytest.mark.embedded
def test_a_foreign_script_gives_what_asking_directly_gives(folder, tmp_path):
    """Plain transformers: a forward pass for each prompt and label."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = embedded_weights(find_model("smollm2-135m"))
    model, tokenizer = AutoModelForCausalLM.from_pretrained(path), AutoTokenizer.from_pretrained(path)
    filled = [row for row in rows(folder / "text.jsonl") if row["position"] in (0, 2, 5)]
    for row in filled:
        start, scores = len(tokenizer(row["text"])["input_ids"]), []
        for label in row["labels"]:
            tokens = tokenizer(f"{row['text']} {label}", return_tensors="pt")["input_ids"]
            with torch.no_grad():
                logs = model(tokens).logits[0].log_softmax(dim=-1)
            scores.append(sum(float(logs[at - 1, tokens[0, at]]) for at in range(start, tokens.shape[1])))
        row["probability"] = float(1 / (1 + np.exp(scores[0] - scores[1])))
    done, run = imported(folder, filled, "foreign")
    assert done.returncode == 0, done.stderr
    direct = llm_icl.evaluate(
        out=tmp_path / "direct", model="smollm2-135m", task="majority", n=3, points=6, problems=4, positions="0,2,5",
        learner="averaging", shuffled_labels=False,
    )  # fmt: skip
    here, there = answers_of(run), direct.predictions.filter(prompt="basic").sort("problem", "position")
    assert here.select("problem", "position", "label", "seen").equals(
        there.select("problem", "position", "label", "seen")
    )
    np.testing.assert_allclose(here["probability"], there["probability"], atol=1e-4)
    assert here["prediction"].equals(there["prediction"])


def test_a_target_is_the_true_label_and_an_id_is_of_one_prompt(folder):
    found = rows(folder / "text.jsonl")
    assert len({row["id"] for row in found}) == len(found) == 24
    done, run = imported(folder, [row | {"answer": int(row["target"])} for row in found], "truth")
    assert done.returncode == 0, done.stderr
    assert (answers_of(run)["prediction"] == answers_of(run)["label"]).all()


def test_queries_with_the_same_prompt_keep_their_own_answers(tmp_path):
    """Of 3 bits there are eight prompts without examples: whoever answers twice may answer differently."""
    done = run_inside("sample", "--prompts", "--task", "conjunction", "--n", "3", "--points", "2", "--problems", "30",
                      "--to", "prompts.jsonl", cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    asked = rows(tmp_path / "prompts.jsonl")
    assert len({row["text"] for row in asked}) < 50
    for name, answer in (("right", lambda i, row: row["target"]), ("coin", lambda i, row: float(i % 3 == 0))):
        filled = [row | {"answer": answer(i, row)} for i, row in enumerate(asked)]
        done, run = imported(tmp_path, filled, name, name=f"{name}.jsonl")
        assert done.returncode == 0, done.stderr
        assert answers_of(run)["prediction"].to_list() == [int(float(row["answer"])) for row in filled]


def test_one_answer_without_a_probability_takes_none_from_the_others_and_is_said(folder):
    found = [row | {"probability": 0.9 if row["target"] == "1" else 0.2} for row in rows(folder / "text.jsonl")]
    found[7] |= {"probability": None, "answer": int(found[7]["target"])}
    done, run = imported(folder, found, "one-without", name="one-without.jsonl")
    assert done.returncode == 0, done.stderr
    answers = answers_of(run)
    assert (answers["prediction"] == answers["label"]).all()
    assert answers["probability"].null_count() == 1
    assert set(answers["probability"].drop_nulls().round(6)) == {0.2, 0.9}
    assert run.record["modes"][0]["without_probability"] == {"the file has no probability": 1}


def test_labels_that_became_numbers_on_their_way_are_labels(folder):
    found = [row | {"target": int(row["target"]), "reply": int(row["target"])} for row in rows(folder / "text.jsonl")]
    done, run = imported(folder, found, "numbers")
    assert done.returncode == 0, done.stderr
    assert (answers_of(run)["prediction"] == answers_of(run)["label"]).all()


def test_replies_are_read_as_any_models_and_what_is_missing_is_said(folder):
    found = rows(folder / "chat.jsonl")
    assert all(row["text"] is None and row["messages"][-1]["role"] == "user" for row in found)
    first = {}
    for row in found:  # equal prompts have one answer
        first.setdefault(json.dumps(row["messages"]), f"The label is {row['target']}.")
        row["reply"] = first[json.dumps(row["messages"])]
    gone = json.dumps(found[-1]["messages"])
    left = [row for row in found if json.dumps(row["messages"]) != gone]
    done, run = imported(folder, left, "replies", name="replies.jsonl")
    statuses = dict(run.predictions().filter(prompt="chat-turns")["status"].value_counts().rows())
    assert statuses == {"ok": len(left), "error": 24 - len(left)} or "no answer" in done.stderr


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda row: {}, "has no answers: fill in 'reply', 'answer', 'probability'"),
        (lambda row: {"probability": 1.5}, "row 1: 'probability' is not a number from 0 to 1: 1.5"),
        (lambda row: {"answer": 2}, "row 1: 'answer' is not 0 or 1: 2"),
        (lambda row: {"answer": 0, "probability": 0.9}, "row 1: 'answer' is 0, but 'probability', that of 1, is 0.9"),
        (lambda row: {"reply": 3}, "row 1: 'reply' is not a text: 3"),
        (lambda row: {"reply": " 0", "answer": 1}, "row 1: 'reply' is 0, but 'answer' is 1"),
        (lambda row: {"reply": "0", "probability": 0.9}, "row 1: 'reply' is 0, but 'probability', that of 1, is 0.9"),
        (lambda row: {"reply": "It is 1.", "answer": 1}, "row 1: give 'reply', which is read as any model's, or"),
        (lambda row: {"answer": 1, "labels": ["0"]}, "row 1: 'labels' are not two texts"),
        (lambda row: {"answer": 1, "labels": [0, 1]}, "row 1: 'labels' are not two texts"),
        (lambda row: {"answer": 1, "text": None}, "row 1: 'text' or 'messages' is missing, or is no prompt"),
        (lambda row: {"answer": 1, "messages": [1, 2]}, "row 1: 'text' or 'messages' is missing, or is no prompt"),
        (lambda row: {"answer": 1, "messages": [{"role": "user"}]}, "row 1: 'text' or 'messages' is missing"),
        (lambda row: {"answer": 1, "seed": row["position"] % 2}, "mixes seed 0, 1"),
        (lambda row: {"answer": 1, "points": None}, "row 1: 'points' is missing"),
        (lambda row: {"answer": 1, "task": "majority,parity"}, "its rows name several tasks or n"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(folder, change, said):
    done, _ = imported(folder, [row | change(row) for row in rows(folder / "text.jsonl")], "refused", name="bad.jsonl")
    assert done.returncode == 2
    assert said in done.stderr


def test_rows_that_are_no_objects_are_refused_and_texts_need_no_messages(folder):
    (folder / "list.jsonl").write_text("[1]\n")
    done = run_inside("import", "list.jsonl", cwd=folder)
    assert (done.returncode, "line 1 is not a JSON object: one object a line" in done.stderr) == (2, True)
    (folder / "array.json").write_text(json.dumps(rows(folder / "text.jsonl"), indent=1))
    done = run_inside("import", "array.json", cwd=folder)
    assert (done.returncode, "not rows either: one JSON object a line" in done.stderr) == (2, True)
    found = [{key: value for key, value in row.items() if key != "messages"} for row in rows(folder / "text.jsonl")]
    done, run = imported(folder, [row | {"answer": 1} for row in found], "texts", name="texts.jsonl")
    assert done.returncode == 0, done.stderr
    assert (answers_of(run)["prediction"] == 1).all()


def test_other_answers_are_another_run(folder):
    found = rows(folder / "text.jsonl")
    _, run = imported(folder, [row | {"answer": 0} for row in found], "changing", name="changing.jsonl")
    assert (answers_of(run)["prediction"] == 0).all()
    done, run = imported(folder, [row | {"answer": 1} for row in found], "changing", name="changing.jsonl")
    assert "contains a different run" in done.stderr
    assert (answers_of(run)["prediction"] == 0).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda row: {"target": "10"[int(row["target"])]}, "its 'target' is"),
        (lambda row: {"target": 1 - int(row["target"])}, "its 'target' is"),
        (lambda row: {"labels": ["1", "0"]}, "its 'labels' is ['1', '0'], and drawn here is ['0', '1']"),
        (lambda row: {"labels": ["no", "yes"], "target": None}, "its 'labels' is ['no', 'yes']"),
        (lambda row: {"text": "Is it 0 or 1?"}, "its 'text' is 'Is it 0 or 1?'"),
        (lambda row: {"messages": [{"role": "user", "content": "?"}]}, "its 'messages' is"),
        (lambda row: {"problem": 0}, "row 3 is of the same prompt"),
        (lambda row: {"problem": 4}, "no problem 4 of 4 is drawn"),
        (lambda row: {"problem": 0.5}, "'problem' or 'position' is not a whole number"),
    ],
)
def test_a_row_that_is_not_what_is_drawn_here_is_refused_by_its_name(folder, change, said):
    filled = [row | {"answer": 1} for row in rows(folder / "text.jsonl")]
    filled[8] |= change(filled[8])
    done, run = imported(folder, filled, "other", name="other.jsonl")
    assert (done.returncode, run, done.stderr.count("\n")) == (2, None, 1), done.stderr
    assert f"row 9 (majority/n3/s0/1/2): {said}" in done.stderr


def test_answers_with_other_labels_than_the_prompts_are_refused_in_an_evaluation_too(folder):
    """A prompt without examples is the same text whatever its labels are."""
    filled = [row | {"answer": 1} for row in rows(folder / "text.jsonl")]
    (folder / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in filled))
    asked = {"task": "majority", "n": 3, "points": 6, "problems": 4, "shuffled_labels": False}
    with pytest.raises(RequestError, match="are 0/1, and those of the prompt 1/0"):
        llm_icl.evaluate(
            out=folder / "labels", model=f"answers/{folder}/labels.jsonl", prompt="basic:labels=1/0", **asked
        )
    filled[3]["labels"] = ["1", "0"]
    (folder / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in filled))
    with pytest.raises(RequestError, match="mixes labels: 0/1 and 1/0"):
        llm_icl.evaluate(out=folder / "labels", model=f"answers/{folder}/labels.jsonl", **asked)


def test_who_answers_need_not_know_the_targets_and_another_prompt_of_the_name_is_refused(folder):
    blind = [{key: value for key, value in row.items() if key != "target"} for row in rows(folder / "text.jsonl")]
    done, _ = imported(folder, [row | {"answer": 1} for row in blind], "blind", name="blind.jsonl")
    assert done.returncode == 0, done.stderr
    (folder / "prompts").mkdir()
    (folder / "prompts" / "basic.jinja").write_text(
        "{% for e in examples %}{{ e.input }} {{ e.label }}\n{% endfor %}{{ query }}"
    )
    done, _ = imported(folder, [row | {"answer": 1} for row in blind], "mine", name="mine.jsonl")
    shutil.rmtree(folder / "prompts")
    assert done.returncode == 2
    assert "row 1 (majority/n3/s0/0/0): its 'text' is" in done.stderr
