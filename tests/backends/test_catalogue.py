"""The models that have a name: what is known of the shipped ones, a user's own, and how a model is named."""

import re
from datetime import date
from pathlib import Path

import pytest

from llm_icl.backends import backends, catalogue
from llm_icl.backends.catalogue import ACCEPTABLE, DEFAULT_MODEL, find_model, model_names
from llm_icl.config.specs import canonical_name
from llm_icl.errors import RequestError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working directory without a catalogue of the user's own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


SHIPPED = Path(catalogue.__file__).with_name("catalogue.yaml")
MODELS = model_names(SHIPPED)
HOSTED = [entry for entry in MODELS.values() if entry.backend in ("openai", "anthropic")]
SERVED = [entry for entry in MODELS.values() if entry.backend == "vllm"]
EMBEDDED = [entry for entry in MODELS.values() if entry.backend == "hf"]


def by_name(entries):
    return pytest.mark.parametrize("entry", entries, ids=[entry.name for entry in entries])


def test_the_shipped_models_are_those_of_all_backends():
    assert len(HOSTED) + len(SERVED) + len(EMBEDDED) == len(MODELS)
    assert min(len(HOSTED), len(SERVED), len(EMBEDDED)) >= 2
    assert MODELS[DEFAULT_MODEL].backend == "hf"


def test_no_name_and_no_identifier_stands_twice():
    names = re.findall(r"^  (\S+):$", SHIPPED.read_text().partition("\nmodels:\n")[2], re.MULTILINE)
    assert len(names) == len(MODELS)
    assert {canonical_name(name) for name in names} == set(names) == set(MODELS)
    identifiers = [(entry.backend, entry.identifier.lower()) for entry in MODELS.values()]
    assert len(set(identifiers)) == len(identifiers)


@by_name(MODELS.values())
def test_what_is_known_of_a_shipped_model_makes_sense(entry):
    assert entry.description
    assert entry.context >= 4096
    words = entry.accepts or ()
    listed = [word for some in words.values() for word in some] if isinstance(words, dict) else words
    assert set(listed) <= set(ACCEPTABLE)
    assert not entry.effort or "effort" in entry.accepted(entry.effort)
    assert not entry.reasoning or entry.effort  # whoever reasons is told how much
    assert find_model(entry.name) == entry
    assert find_model(entry.name.upper().replace("-", "_")) == entry


@by_name(HOSTED)
def test_a_hosted_model_has_prices_that_make_sense(entry):
    price = entry.price
    assert 0 < price["cached"] <= price["input"] <= price["output"] < 1000
    assert price["input"] <= price.get("write", price["input"]) <= 2 * price["input"]
    writes = re.match(r"claude|gpt-5\.6|gpt-6", entry.name) is not None
    assert ("write" in price) == writes
    assert date.fromisoformat(entry.priced) >= date(2026, 1, 1)
    assert entry.chat
    assert entry.accepts is not None
    assert entry.thinking == "" or entry.backend == "anthropic"
    assert entry.backend == "openai" or "logprobs" not in entry.accepted(entry.effort)
    family = "claude" if entry.backend == "anthropic" else "gpt"
    assert entry.name.startswith(family)
    # The identifier is the name, as the provider writes it and perhaps with a date.
    assert re.fullmatch(re.escape(entry.name.replace(".", "-")) + r"(-\d{8})?", entry.identifier.replace(".", "-"))


@by_name(SERVED)
def test_an_open_model_says_how_much_memory_its_weights_take(entry):
    experts, billions = re.search(r"-(?:(\d+)x)?([\d.]+)b\b", entry.name).groups()
    parameters = float(billions) * int(experts or 1)
    assert 1.6 <= entry.memory / parameters <= 2.7  # GB: two bytes each; names are round, experts share some
    assert not entry.price
    assert entry.identifier.count("/") == 1
    assert entry.chat == bool(re.search("chat|instruct", entry.name))
    assert entry.chat == bool(re.search("chat|instruct", entry.identifier, re.IGNORECASE))


@by_name(EMBEDDED)
def test_the_weights_of_an_embedded_model_are_named_with_their_hash(entry):
    weights = entry.weights
    assert re.fullmatch(r"[0-9a-f]{64}", weights["sha256"])
    assert weights["hub"].count("/") == 1
    assert weights["packages"]
    assert all(package["name"] and package["version"] and package["file"] for package in weights["packages"])


def own(folder, text, name="mine.yaml"):
    path = folder / name
    path.write_text(text)
    return path


MINE = """
families:
  local: {backend: openai, chat: true, base-url: "http://localhost:1/v1"}
models:
  My_Model: {family: local, identifier: org/mine, chat: false}
  gpt-5.5: {backend: anthropic, identifier: other, price: {input: 1, output: 2}, priced: 2027-01-02}
"""


def test_a_users_own_models_are_added_and_win(folder):
    models = model_names(own(folder, MINE))
    mine = models["my-model"]
    assert (mine.backend, mine.identifier, mine.base_url) == ("openai", "org/mine", "http://localhost:1/v1")
    assert not mine.chat  # a model wins over its family
    assert set(models) == {*MODELS, "my-model"}
    replaced = models["gpt-5.5"]
    assert (replaced.backend, replaced.identifier, replaced.price) == ("anthropic", "other", {"input": 1, "output": 2})
    assert (replaced.priced, replaced.context, replaced.accepts) == ("2027-01-02", 0, None)  # nothing of the shipped
    assert all(models[name] == entry for name, entry in MODELS.items() if name != "gpt-5.5")


def test_models_yaml_of_the_working_directory_is_read_unless_another_file_is_named(folder):
    assert find_model("gpt-5.5").backend == "openai"
    own(folder, MINE, "models.yaml")
    assert find_model("gpt-5.5").backend == "anthropic"
    assert find_model("MY-MODEL").identifier == "org/mine"
    other = own(folder, "models: {another: {backend: openai, identifier: x}}")
    assert find_model("another", own=other).identifier == "x"
    assert find_model("gpt-5.5", own=other).backend == "openai"
    with pytest.raises(RequestError, match="unknown model 'my-model'"):
        find_model("my-model", own=other)


WRONG = {
    "colour: red": "unknown field 'colour'",
    "base_url: x": "unknown field 'base_url'",
    "name: other": "unknown field 'name'",
    "family: locale": "unknown family 'locale': did you mean 'local'?",
    "identifier: 3": "'identifier' is required and must be text",
    "backend: [openai]": "'backend' is required and must be text",
    "price: 3": "'price' must give US dollars",
    "price: {input: cheap, output: 2}": "'price' must give US dollars",
    "price: {input: 1, output: 2, reading: 3}": "'price' must give US dollars",
    "price: {input: 1}": "'price' needs input and output",
    "price: {cached: 1, output: 2}": "'price' needs input and output",
    "price: {input: 1, output: 2}": "a price requires its date",
    "accepts: [temperature, colour]": "'accepts' must be a list of",
    "accepts: logprobs": "'accepts' must be a list of",
    "accepts: {none: [logprobs], low: [colour]}": "'accepts' must be a list of",
    "accepts: {none: logprobs}": "'accepts' must be a list of",
    "accepts: 3": "'accepts' must be a list of",
    "accepts: ''": "'accepts' must be a list of",
}


@pytest.mark.parametrize(("field", "message"), WRONG.items(), ids=WRONG)
def test_a_wrong_field_is_one_line_with_the_file_and_the_model(folder, field, message):
    key = field.partition(":")[0]
    fields = "\n".join(f"    {line}" for line in ("backend: openai", "identifier: x") if not line.startswith(key))
    path = own(
        folder,
        f"families:\n  local: {{chat: true}}\nmodels:\n  fine: {{backend: openai, identifier: y}}\n"
        f"  Some_One:\n{fields}\n    {field}\n",
    )
    with pytest.raises(RequestError) as caught:
        find_model("gpt-5.5", own=path)
    told = str(caught.value)
    assert told.startswith(str(path))
    assert message in told
    assert re.search("'some-one'|'Some_One'", told)
    assert "\n" not in told


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models:\n  some-one:\n", "model 'some-one' must be a list of"),
        ("models:\n  some-one: {identifier: x}\n", "model 'some-one': 'backend' is required"),
        ("models:\n  some-one: {backend: openai}\n", "model 'some-one': 'identifier' is required"),
        ("models: [a, b]\n", "'models' must be a list of"),
        ("families: {local: 3}\nmodels: {some-one: {family: local}}\n", "family 'local' must be a list of"),
        ("families: {local: {colour: red, backend: a}}\nmodels: {some-one: {family: local}}\n", "'colour'"),
        ("model: {}\n", "unknown field 'model'"),
        ("families: {}\n", "the field 'models' is missing"),
        ("", "the field 'models' is missing"),
        ("models: {a: [}\n", "not valid YAML"),
        ("- a\n", "a card must be a list of"),
    ],
)
def test_a_file_that_is_no_catalogue_is_one_line_with_its_name(folder, text, message):
    path = own(folder, text)
    with pytest.raises(RequestError, match=re.escape(message)) as caught:
        model_names(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(folder):
    with pytest.raises(RequestError, match=r"nowhere\.yaml: cannot be read"):
        model_names(folder / "nowhere.yaml")


def test_gpt_5_5_accepts_log_probabilities_without_reasoning_only():
    entry = find_model("gpt-5.5")
    assert entry.effort == "none"
    assert {"logprobs", "temperature"} <= set(entry.accepted("none"))
    for effort in ("", "minimal", "low", "high"):
        assert set(entry.accepted(effort)) == {"effort"}


def test_what_is_accepted_does_not_depend_on_the_effort_where_it_is_one_list():
    entry = find_model("gpt-4o")
    assert set(entry.accepted("")) == set(entry.accepted("high")) == {"temperature", "logprobs", "stop"}


def test_of_an_effort_that_is_not_listed_counts_the_default(folder):
    text = "models: {m: {backend: openai, identifier: x, accepts: {low: [stop], default: [schema]}}}"
    entry = model_names(own(folder, text))["m"]
    assert [list(entry.accepted(effort)) for effort in ("low", "high", "")] == [["stop"], ["schema"], ["schema"]]
    text = "models: {m: {backend: openai, identifier: x, accepts: {low: [stop]}}}"
    entry = model_names(own(folder, text))["m"]
    assert list(entry.accepted("high")) == []


def test_of_an_unknown_model_the_usual_is_tried_and_of_one_that_accepts_nothing_nothing(folder):
    assert {"temperature", "logprobs", "stop"} <= set(find_model("openai/unheard-of").accepted("low"))
    path = own(folder, "models: {m: {backend: openai, identifier: x, accepts: []}}")
    assert list(find_model("m", own=path).accepted("low")) == []


@pytest.mark.parametrize(
    ("text", "identifier", "options"),
    [
        ("gpt-5.5:effort=low", "gpt-5.5", {"effort": "low"}),
        ("GPT_5.5:effort=low,temperature=0.5,Top=5", "gpt-5.5", {"effort": "low", "temperature": 0.5, "top": 5}),
        (" gpt-5.5:constrained=yes , timeout=30 ", "gpt-5.5", {"constrained": True, "timeout": 30}),
        ("gpt-5.5", "gpt-5.5", {}),
        ("openai/ft:gpt-4o:me::abc", "ft:gpt-4o:me::abc", {}),
        ("openai/ft:gpt-4o:me::abc:api=chat", "ft:gpt-4o:me::abc", {"api": "chat"}),
        ("openai/a/b:c", "a/b:c", {}),
        ("openai/Upper_Case", "Upper_Case", {}),
    ],
)
def test_options_follow_the_last_colon(text, identifier, options):
    entry = find_model(text)
    assert (entry.backend, entry.identifier, dict(entry.options)) == ("openai", identifier, options)
    assert [type(value) for value in dict(entry.options).values()] == [type(value) for value in options.values()]


def test_the_same_model_with_other_options_has_another_name():
    names = [find_model(f"gpt-5.5{options}").name for options in ("", ":effort=low", ":effort=high", ":top=3,api=chat")]
    assert names == ["gpt-5.5", "gpt-5.5:effort=low", "gpt-5.5:effort=high", "gpt-5.5:top=3,api=chat"]
    for name in names:
        assert find_model(name).name == name


def test_what_is_known_of_a_model_holds_when_it_is_named_by_its_identifier():
    entry, named = find_model("anthropic/claude-haiku-4-5-20251001:timeout=9"), find_model("claude-haiku-4.5")
    assert (entry.price, entry.context, entry.accepts) == (named.price, named.context, named.accepts)
    assert entry.name == "anthropic/claude-haiku-4-5-20251001:timeout=9"
    assert not find_model("openai/claude-haiku-4-5-20251001").price


def test_a_model_that_vllm_runs_is_asked_at_a_server_where_one_is_given():
    here, there = find_model("llama3.1-8b"), find_model("llama3.1-8b", base_url="http://gpu:8000/v1")
    assert (here.backend, here.base_url) == ("vllm", "")
    assert (there.backend, there.base_url) == ("vllm-server", "http://gpu:8000/v1")
    assert (there.identifier, there.context) == (here.identifier, here.context)


def test_the_price_at_another_address_is_not_the_providers():
    entry = find_model("gpt-5.5:effort=low", base_url="http://proxy/v1")
    assert (entry.backend, entry.base_url, entry.options) == ("openai", "http://proxy/v1", (("effort", "low"),))
    assert not entry.price
    assert not entry.priced
    assert find_model("gpt-5.5").price  # the catalogue itself has not changed


@pytest.mark.parametrize("name", [DEFAULT_MODEL, "hf/org/name"])
def test_a_model_of_this_process_cannot_be_asked_elsewhere(name):
    with pytest.raises(RequestError, match=f"'{name}' runs in this process: --base-url"):
        find_model(name, base_url="http://localhost:1/v1")


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("gpt-5.6-lunar", "gpt-5.6-luna"),
        ("claude-haiku-55", "claude-haiku-5.5"),
        ("llama3.1-8B-instrct", "llama3.1-8b-instruct"),
        ("smollm", "smollm2-135m"),
        ("gemma-3-27b:top=3", "gemma3-27b"),
    ],
)
def test_for_an_unknown_model_the_nearest_name_is_told(text, nearest):
    with pytest.raises(RequestError, match=f"did you mean '{re.escape(nearest)}'") as caught:
        find_model(text)
    assert "\n" not in str(caught.value)
    assert "gpt-4.1-mini" in str(caught.value)


def test_a_backend_without_an_identifier_is_no_model():
    with pytest.raises(RequestError, match="'openai/' has no identifier"):
        find_model("openai/")


def test_prices_and_descriptions_are_not_part_of_what_is_asked(folder):
    def record(fields):
        path = own(folder, f"models: {{m: {{backend: openai, identifier: x, {fields}}}}}")
        return find_model("m", own=path).record()

    cheap = record("price: {input: 1, output: 2}, priced: 2026-11-20, description: cheap")
    assert cheap == record("price: {input: 10, output: 20}, priced: 2026-12-20, key: MY_KEY")
    assert cheap != record("effort: low")
    assert cheap != record("base-url: 'http://localhost:1/v1'")


@pytest.mark.parametrize(
    ("backend", "one", "other", "same"),
    [
        ("openai", "logprobs, temperature, stop", "logprobs, temperature", "stop, temperature, logprobs, effort"),
        ("openai", "effort", "effort, temperature", "effort, stop"),  # asked for responses, which have no stops
        ("anthropic", "schema, stop", "schema", "stop, schema, effort"),
    ],
)
def test_a_model_that_is_sent_other_parameters_is_another_in_the_cache(folder, backend, one, other, same):
    def identity(accepts):
        path = own(folder, f"models: {{m: {{backend: {backend}, identifier: x, accepts: [{accepts}]}}}}")
        return backends.get(backend)(find_model("m", own=path)).identity()

    assert identity(one) != identity(other)
    assert identity(one) == identity(same)
