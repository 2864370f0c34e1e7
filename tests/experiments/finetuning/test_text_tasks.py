"""Cards of labelled texts, what is read by them, and what is said of rows that do not fit."""

import json

import numpy as np
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
ROWS = ({"text": "a  b", "label": 1}, {"text": "c", "label": 0})


def write(folder, card=CARD, rows=ROWS, more=({"text": "d", "label": 0}, {"text": "e", "label": 1})):
    """The task of a card, with its rows in train.jsonl, and more of them in test.jsonl."""
    (folder / "own.yaml").write_text(card)
    (folder / "own").mkdir(exist_ok=True)
    for split, some in (("train", rows), ("test", more)):
        lines = [row if isinstance(row, str) else json.dumps(row) for row in some]
        (folder / "own" / f"{split}.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return load_text_task(str(folder / "own.yaml"))


def training(folder, card=CARD, rows=ROWS):
    return list(load_splits(write(folder, card, rows, rows), folder).training)


def refused(folder, card=CARD, rows=ROWS, **more):
    with pytest.raises(RequestError) as caught:
        load_splits(write(folder, card, rows, **more), folder)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_the_six_sets_of_the_paper_are_there():
    assert set(text_task_names()) == {"agnews", "cb", "mr", "sst2", "sst5", "subj"}
    words = {name: load_text_task(name).labels for name in text_task_names()}
    assert words["cb"] == ("True", "False", "Neither")
    assert {name: len(labels) for name, labels in words.items()} == {
        "agnews": 4, "cb": 3, "mr": 2, "sst2": 2, "sst5": 5, "subj": 2,
    }  # fmt: skip


def test_examples_are_written_as_the_card_says(tmp_path):
    splits = load_splits(write(tmp_path), tmp_path)
    assert list(splits.training) == [Example("Text: a b Label:", 1), Example("Text: c Label:", 0)]
    assert list(splits.evaluation) == [Example("Text: d Label:", 0), Example("Text: e Label:", 1)]
    assert splits.remarks == ()


def test_the_order_is_that_of_datasets():
    datasets = pytest.importorskip("datasets")
    examples = [Example(str(i), 0) for i in range(40)]
    truth = datasets.Dataset.from_dict({"i": list(range(40))}).shuffle(seed=7)["i"]
    assert [int(example.text) for example in shuffled(examples, 7)] == list(truth)


# --- cards ---


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[bad, good]", "[bad, bad]", "line 6: two labels have the same word"),
        ("[bad, good]", "[true, false]", "in quotation marks where YAML would read another type"),
        ("[bad, good]", "[bad]", "'labels' must be at least two words"),
        ("[bad, good]", "{0: bad}", "'labels' must be at least two words"),
        ("[bad, good]", "{0: bad, '0': good}", "the value '0' is null, or appears twice"),
        ("[bad, good]", "{1.0: bad, ' 1 ': good}", "the value ' 1 ' is null, or appears twice"),
        ("[bad, good]", "{~: bad, 1: good}", "the value None is null, or appears twice"),
        ("[bad, good]", "[bad, ' good']", "'labels' must be words"),
        ("[bad, good]", "bad", "'labels' must be words"),
        ("hub", "hob", "unknown field 'hob'"),
        ("[bad, good]", "{1: bad, true: good, 0: fair}", "line 6: the field 'true' is the same as '1'"),
        ("{{ text }}", "{{ text | random }}", "line 5: 'template' is invalid: No filter named 'random'"),
        ("{{ text }}", "{{ text", "line 5: 'template' is invalid: "),
        ("{{ text }}", "text", "line 5: 'template' is invalid: it prints no column, such as {{ text }}"),
        (
            "'Text: {{ text }} Label:'",
            "'{% if text %}{% endif %}'",
            "line 5: 'template' is invalid: it prints no column",
        ),
        ("{{ text }}", "{{ text }} {{ label }}", "line 5: 'template' is invalid: it prints the label, 'label'"),
        ("{{ text }}", '{{ text }} {{ row["label"] }}', "is invalid: it prints the label, 'label'"),
        ("{{ text }}", "{{ text }} {{ row.label }}", "line 5: 'template' is invalid: it prints the label, 'label'"),
        ("{{ text }}", '{{ row["text"] }} {{ row }}', "line 5: 'template' is invalid: 'row' is for one column"),
        ("{{ text }}", "{{ row[text] }}", "line 5: 'template' is invalid: 'row' is for one column"),
        ("[bad, good]", "['caf\u00e9', 'cafe\u0301']", "line 6: two labels have the same word"),
        ("[bad, good]", '[bad, "go\\u200Bod"]', "has a character that is not printed"),
        ("evaluation: test", "evaluation: train", "line 4: 'training' and 'evaluation' are the same split"),
    ],
)
def test_a_card_that_cannot_be_is_one_clear_line_with_its_place(tmp_path, old, new, message):
    assert message in refused(tmp_path, CARD.replace(old, new))


def test_own_texts_need_no_data_set_of_the_hub(tmp_path):
    task = write(tmp_path, CARD.replace("hub: nobody/nothing\n", ""))
    assert len(load_splits(task, tmp_path).training) == 2
    with pytest.raises(RequestError, match="its card names no data set of the hub: use --data-dir"):
        load_splits(task)


# --- texts ---

NAN = float("nan")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "is null"), (NAN, "is nan"), (float("inf"), "is inf"), ("", "is empty"), ("  \t\n ", "is blank"),
        ("\u00a0\u200b\ufeff", "is blank"), ("\u2800\u3164", "is blank"),
        ("NA", "is 'NA', a missing value"), ("NaN", "is 'NaN', a missing value"), (" null ", "is 'null', a missing"),
        (["a", "b"], "is not a text, but of type list"), ({"de": "a"}, "is not a text, but of type dict"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("column", ["premise", "text"])
def test_a_row_without_a_text_is_refused_with_its_line(tmp_path, column, value, reason):
    card = CARD.replace("{{ text }}", "{{ premise }}: {{ text }}")
    row = {"premise": "a", "text": "b", "label": 0}
    message = refused(tmp_path, card, [row, "", row, row | {column: value}, row])
    assert f"own/train.jsonl, line 4: the column '{column}' {reason}" in message
    message = refused(tmp_path, card, [row], more=[row | {column: value}])
    assert f"own/test.jsonl, line 1: the column '{column}' {reason}" in message


@pytest.mark.parametrize(
    "template", ['{{ title ~ ". " ~ text }}', "{{ title | lower }} {{ text }}", '{{ row["title"] | upper }} {{ text }}']
)
@pytest.mark.parametrize(("value", "reason"), [(None, "is null"), (NAN, "is nan"), ("NA", "is 'NA', a missing value")])
def test_a_missing_value_does_not_become_a_word(tmp_path, template, value, reason):
    card = CARD.replace("'Text: {{ text }} Label:'", f"'Text: {template} Label:'")
    row = {"title": "A", "text": "b", "label": 0}
    assert f"line 2: the column 'title' {reason}" in refused(tmp_path, card, [row, row | {"title": value}])


def test_the_whole_row_is_no_text(tmp_path):
    """It holds the label."""
    message = refused(tmp_path, CARD.replace("{{ text }}", "{{ row | tojson }}"))
    assert "line 1: the template fails" in message


def test_columns_that_are_not_printed_may_be_empty(tmp_path):
    card = CARD.replace("{{ text }}", "{% if title %}{{ title }}: {% endif %}{{ text }}")
    rows = [{"text": "a", "title": "A", "label": 0}, {"text": "b", "title": None, "label": 0, "more": None}]
    rows += [{"text": "c", "title": "", "label": 1}]
    assert [text for text, _ in map(read, training(tmp_path, card, rows))] == ["A: a", "b", "c"]
    assert "line 1: the column 'title' is blank" in refused(tmp_path, card, [{"text": "c", "title": " ", "label": 1}])


def read(example):
    return example.text.removeprefix("Text: ").removesuffix(" Label:"), example.label


def test_numbers_and_dates_are_texts_and_nested_columns_can_be_reached(tmp_path):
    card = CARD.replace("{{ text }}", '{{ text.de }} {{ words | join(" ") }} {{ row["Page No"] }}')
    row = {"text": {"de": "eins"}, "words": ["a", "b"], "Page No": 7, "label": 1}
    assert read(training(tmp_path, card, [row])[0]) == ("eins a b 7", 1)
    message = refused(tmp_path, card, [row | {"text": {"de": " "}}])
    assert "line 1: what the template prints is blank" in message


@pytest.mark.parametrize("column", ["range", "dict", "row", "title", "ünï"])
def test_a_column_may_have_any_name(tmp_path, column):
    card = CARD.replace("{{ text }}", f"{{{{ {column} }}}}")
    assert read(training(tmp_path, card, [{column: "its text", "label": 1}])[0]) == ("its text", 1)


def test_a_text_is_not_a_template(tmp_path):
    """Neither Jinja's marks nor the template's own words in a text do anything."""
    text = "{{ label }} {% if x %} {# no #} Label: good Text: <|endoftext|> \\n {}"
    task = write(tmp_path, CARD, [{"text": text, "label": 0}, {"text": "plain", "label": 1}])
    splits = load_splits(task, tmp_path)
    assert read(splits.training[0]) == (text, 0)
    (remark,) = splits.remarks
    assert remark.endswith("own/train.jsonl: 1 of 2 texts contain 'Label:', which precedes the label")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"words": "a", "label": 1}, "line 1: 'text' is undefined; its columns are words, label"),
        ({"text": "a"}, "line 1: no column 'label' for the label; its columns are text"),
        ('{"text": "a \\ud83d", "label": 1}', "line 1: a character is incomplete"),
    ],
)
def test_a_row_that_does_not_fit_the_card_is_refused_with_what_it_has(tmp_path, row, message):
    assert message in refused(tmp_path, CARD, [row])


def test_a_template_that_fails_on_a_row_says_where(tmp_path):
    card = CARD.replace("{{ text }}", "{{ text / 2 }}")
    assert "line 1: the template fails: unsupported operand" in refused(tmp_path, card)


# --- labels ---


def labels(folder, card, values, column="label"):
    rows = [{"text": f"text {i}", column: value} for i, value in enumerate(values)]
    return [label for _, label in map(read, training(folder, card, rows))]


@pytest.mark.parametrize(
    ("written", "values"),
    [
        ("[bad, good]", [0, 1, 0.0, 1.0, "0", " 1 ", "0.0", "1.0", False, True, "false", "True", "bad", " good"]),
        ("{bad: bad, good: good}", ["bad", "good", "bad ", "good"]),
        ("['no', 'yes']", [False, True, "false", "yes", "no"]),
        ("{'0': bad, '1': good}", [0, 1.0, "0.0", "1"]),
        ("{0.0: bad, 1.0: good}", [0, 1, "0", "1.0"]),
        ("{-1: bad, 1: good}", [-1, 1, "-1", "1", -1.0, "1.0"]),
        ("{no: bad, yes: good}", [False, True, "false", "TRUE"]),  # as YAML reads them
        ("{negative: bad, positive: good}", ["negative", "positive"]),
        ("{0.5: bad, 1.5: good}", [0.5, 1.5, "0.5", "1.5"]),
    ],
)
def test_labels_are_those_of_the_card_however_they_are_written(tmp_path, written, values):
    card = CARD.replace("[bad, good]", written)
    assert labels(tmp_path, card, values) == [i % 2 for i in range(len(values))]


def test_several_values_may_have_the_same_word(tmp_path):
    card = CARD.replace("[bad, good]", "{1: bad, 2: bad, 4: good, 5: good}")
    assert write(tmp_path, card).labels == ("bad", "good")
    assert labels(tmp_path, card, [5, 1, "2", 4.0]) == [1, 0, 0, 1]


def test_a_card_names_the_column_of_the_label(tmp_path):
    card = CARD + "label: coarse_label\n"
    assert labels(tmp_path, card, [1, 0], "coarse_label") == [1, 0]
    message = refused(tmp_path, card)
    assert "line 1: no column 'coarse_label' for the label; its columns are text, label" in message


@pytest.mark.parametrize(
    ("written", "value", "message"),
    [
        ("[bad, good]", 2, "label 2 is not in the card, which has 0, 1, false, true, bad, good"),
        ("[bad, good]", -1, "label -1 is not in the card"),
        ("[bad, good]", "Good", "label 'Good' is not in the card"),
        ("[bad, good]", 0.5, "label 0.5 is not in the card"),
        ("[bad, good]", float("inf"), "label inf is not in the card"),
        ("[bad, good]", [1], "label [1] is not in the card"),
        ("[bad, good]", {"a": "b" * 100}, "label {'a': 'bbb"),
        ("[bad, good]", None, "the label in column 'label' is missing"),
        ("[bad, good]", NAN, "the label in column 'label' is missing"),
        ("[bad, good]", "", "the label in column 'label' is missing"),
        ("[bad, so so, good]", True, "label True is not in the card"),
        ("['1', '0']", "1", "label '1' is not in the card"),  # a word and the number of another
        ("['True', 'False']", False, "label False is not in the card"),
        ("{negative: bad, positive: good}", 1, "label 1 is not in the card, which has negative, positive"),
    ],
)
def test_a_label_that_is_not_in_the_card_or_could_be_two_is_refused(tmp_path, written, value, message):
    rows = [{"text": "a", "label": value}]
    found = refused(tmp_path, CARD.replace("[bad, good]", written), rows)
    assert f"own/train.jsonl, line 1: {message}" in found
    assert len(found) < 300


# --- what is said of rows that fit ---


def remarks(folder, rows, more, card=CARD):
    found = load_splits(write(folder, card, rows, more=more), folder).remarks
    return [remark.removeprefix(f"{folder}/own/") for remark in found]


def rows_of(texts, label=None):
    return [{"text": text, "label": i % 2 if label is None else label} for i, text in enumerate(texts)]


def test_rows_that_both_splits_have_are_counted(tmp_path):
    assert remarks(tmp_path, rows_of("abcd"), rows_of("cdefg")) == [
        "test.jsonl: 2 of 5 texts are also in train"
    ]  # fmt: skip
    assert remarks(tmp_path, rows_of("ab"), rows_of("ab")) == ["test.jsonl: 2 of 2 texts are also in train"]
    assert remarks(tmp_path, rows_of(["a  b", "c"]), rows_of(["a b", "e"])) == [
        "test.jsonl: 1 of 2 texts are also in train"
    ]  # fmt: skip


def test_texts_that_repeat_others_are_counted_with_those_that_contradict_them(tmp_path):
    rows = [*rows_of("ababab"), {"text": "b", "label": 0}, *rows_of("xy")]
    assert remarks(tmp_path, rows, rows_of("cd")) == [
        "train.jsonl: 5 of 9 texts repeat an earlier one, 1 with another label"
    ]  # fmt: skip
    assert remarks(tmp_path, rows_of("abab"), rows_of("cd")) == ["train.jsonl: 2 of 4 texts repeat an earlier one"]


def test_equal_texts_and_missing_labels_are_said(tmp_path):
    assert remarks(tmp_path, rows_of("aaaa"), rows_of("bc", 1)) == [
        "train.jsonl: all texts are equal", "test.jsonl: all rows have the label 'good'"
    ]  # fmt: skip
    card = CARD.replace("[bad, good]", "[bad, good, ugly]")
    assert remarks(tmp_path, rows_of("ab"), [{"text": "c", "label": 2}, {"text": "d", "label": 0}], card) == [
        "train.jsonl: no row has the label 'ugly'", "test.jsonl: no row has the label 'good'"
    ]  # fmt: skip


def test_many_texts_take_little_memory_and_come_back(tmp_path, monkeypatch):
    from llm_icl.experiments.finetuning import examples

    monkeypatch.setattr(examples, "_IN_MEMORY", 1000)
    rows = [{"text": f"Größe {i} " + "x" * 50, "label": i % 2} for i in range(500)]
    found = load_splits(write(tmp_path, CARD, rows), tmp_path).training
    assert found._texts._rolled  # on disk
    order = np.random.default_rng(0).permutation(500)
    assert [read(found[i]) for i in order] == [(rows[i]["text"], i % 2) for i in order]
    assert [read(example) for example in found[3:10:2]] == [(rows[i]["text"], i % 2) for i in (3, 5, 7, 9)]
    assert found[-1] == found[499]
    assert found[17].place.endswith("own/train.jsonl, line 18")
    with pytest.raises(IndexError):
        found[500]


# --- the command ---


def test_requests_that_cannot_be_met(tmp_path):
    write(tmp_path)
    for arguments, message in (
        ("--dataset sts2", "unknown dataset 'sts2': did you mean 'sst2'"),
        (f"--dataset sst2 --data-dir {tmp_path}", "--data-dir must contain sst2/train.jsonl"),
        (
            f"--dataset {tmp_path}/own.yaml --data-dir {tmp_path}",
            "has 2 training texts, too few for 3 seeds with 2 demonstrations, as many for a control and 50 to validate "
            "learning rates on",
        ),
        (
            f"--dataset {tmp_path}/own.yaml --data-dir {tmp_path} --no-controls --demonstrations 3 --seed 1 "
            "--choose-on evaluation",
            "has 2 training texts, too few for 1 seed with 3 demonstrations",
        ),
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


def test_show_dataset_lists_a_card_and_the_fields_of_cards(tmp_path):
    write(tmp_path, CARD + "label: stars\ndescription: My own\n")
    done = run_inside("show", "dataset", "own.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for line in (
        "description: My own", "training: train", "template: Text: {{ text }} Label:", "label: stars",
        "labels: bad (0, false, bad); good (1, true, good)", "demonstrations: 2",
    ):  # fmt: skip
        assert line in done.stdout.splitlines()
    assert "DIR/own/train and DIR/own/test" in done.stdout
    assert ".csv.gz" in done.stdout
    assert "with the columns text, stars." in done.stdout
    for name in ("hub", "configuration", "training", "evaluation", "template", "label", "labels", "demonstrations"):
        assert f"\n  {name} " in done.stdout
