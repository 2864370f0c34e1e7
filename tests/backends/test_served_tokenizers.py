"""A vLLM server divides texts and writes turns itself: what it does is held to the same rules as what is done here."""

import json

import httpx2
import pytest
from transformers import AutoTokenizer

from llm_icl.backends import backends, find_model
from llm_icl.config.specs import parse_specs
from llm_icl.errors import RequestError
from llm_icl.prompting import load_prompt, render
from llm_icl.tasks.cards import load_task
from llm_icl.tasks.drawing import draw_problems
from tests.backends.chat_templates import FAMILIES, GEMMA, LLAMA_3, REFUSED
from tests.backends.making import byte_level, framed, save


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A client of a server with this tokenizer, which answers as vLLM's does; and the same model in this process."""

    def start(made, template, garbled=False):
        folder = save(tmp_path / "model", made, template)
        tokenizer = AutoTokenizer.from_pretrained(folder)

        def answer(request):
            if request.url.path == "/v1/models":
                return httpx2.Response(200, json={"data": [{"id": "mine", "max_model_len": 2048}]})
            body = json.loads(request.content)
            if request.url.path == "/detokenize":
                text = tokenizer.decode(body["tokens"])
                return httpx2.Response(200, json={"prompt": text.replace("\n", " ") if garbled else text})
            if "prompt" in body:
                return httpx2.Response(
                    200,
                    json={"tokens": tokenizer(body["prompt"], add_special_tokens=body["add_special_tokens"]).input_ids},
                )
            try:
                text = tokenizer.apply_chat_template(
                    body["messages"],
                    tokenize=False,
                    add_generation_prompt=body["add_generation_prompt"],
                    **body["chat_template_kwargs"],
                )
            except Exception as problem:
                return httpx2.Response(400, json={"error": {"message": str(problem), "code": 400}})
            return httpx2.Response(200, json={"tokens": tokenizer(text, add_special_tokens=False).input_ids})

        class Client(httpx2.Client):
            def __init__(self, **settings):
                super().__init__(**settings, transport=httpx2.MockTransport(answer))

        monkeypatch.setattr(httpx2, "Client", Client)
        model = backends.get("vllm-server")(find_model("vllm/mine", "http://127.0.0.1:9/v1"))
        model.connect()
        entry = find_model(str(folder))
        return model, backends.get(entry.backend)(entry)

    return start


def rendered(position=2):
    problems = draw_problems(load_task(parse_specs(["majority"])[0]), 3, 4, 1, 0)
    return render(load_prompt(parse_specs(["chat-turns"])[0]), problems, 0, position)


@pytest.mark.parametrize("frame", ["$A", "<s> $A", "<s> $A </s>"])
@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "Llama 3"])
def test_a_server_is_asked_with_the_tokens_of_a_model_here(served, name, frame):
    model, here = served(framed(byte_level(), frame), FAMILIES[name].template)
    for position in (0, 2):
        text = here.as_text(rendered(position))
        assert model.as_text(rendered(position)) == text
        assert model.tokenize([text, "Input: 0 1"]) == here.tokenize([text, "Input: 0 1"])
        assert model.answered(rendered(position), "1") == here.answered(rendered(position), "1")
        assert model.remarks(rendered(position)) == here.remarks(rendered(position))
    assert ("appended tokens" in model.identity()) == ("</s>" in frame)


@pytest.mark.parametrize("name", ["earlier answers omitted", "only the last turn", "no user turns"])
def test_what_is_refused_here_is_refused_of_a_server(served, name):
    template, reason = REFUSED[name]
    model, _ = served(byte_level(), template)
    with pytest.raises(RequestError, match=reason):
        model.as_text(rendered(1))


def test_a_server_that_writes_todays_date_is_refused(served):
    model, _ = served(byte_level(), LLAMA_3)
    with pytest.raises(RequestError, match="writes today's date, with which answers change"):
        model.as_text(rendered())


def test_a_server_whose_template_takes_a_date_is_given_one(served):
    model, _ = served(
        byte_level(), LLAMA_3.replace("strftime_now('%d %b %Y') if strftime_now", "date_string if date_string")
    )
    assert "Today Date: 26 Jul 2024" in model.as_text(rendered())


def test_a_text_that_does_not_give_the_servers_tokens_again_is_refused(served):
    model, _ = served(byte_level(), GEMMA, garbled=True)
    with pytest.raises(RequestError, match="does not write its chat format as one text"):
        model.as_text(rendered())
