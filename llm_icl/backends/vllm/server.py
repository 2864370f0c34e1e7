"""Large open models on a running vLLM server."""

import asyncio
import json
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

from llm_icl.backends.base import ModelEntry, TokenModel, backends
from llm_icl.backends.chat import DAY, ChatFormat, TemplateError, writes_today
from llm_icl.backends.exchange import CurveRequest, LabelScores, PositionsRequest, Reply, Request
from llm_icl.backends.hosted.bounded import bounded_client
from llm_icl.backends.hosted.faults import TransientError, clean
from llm_icl.backends.hosted.model import RemoteModel, connecting
from llm_icl.backends.hosted.reasons import reason_in
from llm_icl.backends.tokenizers import TextTokens
from llm_icl.backends.vllm.labels import label_nodes, label_scores
from llm_icl.backends.vllm.options import LEAST_CURVE, OPTIONS, TOP
from llm_icl.backends.vllm.process import served_models
from llm_icl.config.addresses import OWN_SERVER_KEY, checked_url
from llm_icl.config.specs import only_known
from llm_icl.errors import RequestError
from llm_icl.prompting.layout import Curve, LabelPlace
from llm_icl.prompting.rendering import Message

_AT_ONCE = 16
# Curves of large models are slow, and requests queue in the server.
_TIMEOUT = 600.0


@backends.register("vllm-server")
class VllmServer(RemoteModel, TokenModel):
    """A running vLLM server (`--base-url`). Options: chat, timeout, key."""

    modes = ("curve", "positions", "generate")
    least_curve = LEAST_CURVE
    key_variable = OWN_SERVER_KEY
    priced = False

    def __init__(self, entry: ModelEntry) -> None:
        super().__init__(entry)
        only_known("model", entry.name, self.options, (*OPTIONS, "key"))
        self.timeout = float(self.options.get("timeout", _TIMEOUT))
        self.chats = bool(self.options.get("chat", entry.chat))
        self.address = checked_url(entry.base_url)
        # vLLM's own endpoints are at the server's root.
        self._root = self.address.removesuffix("/v1")
        self._http: Any = None
        self._asking: Any = None
        self._name = entry.identifier
        self._context = 0
        self._alone = 0

    def connect(self) -> None:
        import httpx2

        headers = {"Authorization": f"Bearer {self.secret()}"}
        self._http = httpx2.Client(timeout=self.timeout, headers=headers, trust_env=False)
        served = served_models(self.address, self._http)
        if served is None:
            raise RequestError(f"no OpenAI-compatible server responds at {self.address}: check --base-url")
        self._name = next((name for name in (self.entry.identifier, self.entry.name) if name in served), "")
        if not self._name:
            raise RequestError(
                f"the server at {self.address} serves {', '.join(served) or 'nothing'}, not {self.entry.identifier}"
            )
        self._context = int(served[self._name].get("max_model_len") or 0)
        if not self._context:
            raise RequestError(f"the server at {self.address} is not a vLLM server: use --model openai/{self._name}")
        self._tokens  # noqa: B018  (its tokenizer is tried now)

    def identity(self) -> dict[str, Any]:
        return {
            "backend": "vllm-server",
            "identifier": self.entry.identifier,
            "base_url": self.address,
            "chat": self.chats,
        } | self._tokens.identity()

    def found(self) -> dict[str, Any]:
        return super().found() | {"labels_asked_alone": self._alone}

    def close(self) -> None:
        if self._http is not None:
            self._http.close()

    @property
    def context_length(self) -> int:
        return self._context

    @cached_property
    def _tokens(self) -> TextTokens:
        return TextTokens(self.entry.name, self._encode)

    @cached_property
    def chat_format(self) -> ChatFormat:
        return ChatFormat(self.entry.name, self._in_turns)

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        return self._tokens(texts)

    def _in_turns(self, turns: Sequence[Message], opened: bool) -> str:
        """Turns as the server's chat template writes them."""
        messages = [{"role": turn.role, "content": turn.content} for turn in turns]
        settings = {"add_generation_prompt": opened, "chat_template_kwargs": {"date_string": f"{DAY:%d %b %Y}"}}
        tokens = self._post("tokenize", {"model": self._name, "messages": messages, **settings}, TemplateError)[
            "tokens"
        ]
        text = str(self._post("detokenize", {"model": self._name, "tokens": tokens})["prompt"])
        if writes_today(text):
            raise RequestError(
                f"the chat template of the server at {self.address} writes today's date, with which answers change: "
                "start it with another --chat-template"
            )
        if self.tokenize([text])[0] != self._tokens.begun_once(tokens):
            raise RequestError(f"the server at {self.address} does not write its chat format as one text")
        return text

    def _encode(self, texts: Sequence[str], special: bool) -> list[list[int]]:
        def post(text: str) -> list[int]:
            body = {"model": self._name, "prompt": text, "add_special_tokens": special}
            return list(self._post("tokenize", body)["tokens"])

        with ThreadPoolExecutor(_AT_ONCE) as threads:
            return list(threads.map(post, texts))

    def _post(self, path: str, body: dict[str, Any], refusal: type[Exception] = RequestError) -> Any:
        """A reply of the server; `refusal` is raised, with its reason, where it rejects the request itself."""
        import httpx2

        try:
            response = self._http.post(f"{self._root}/{path}", json=body)
            if response.status_code == 400:
                raise refusal(clean(f"the server at {self.address} refuses: {reason_in(response.text).words}"))
            response.raise_for_status()
            return response.json()
        except (httpx2.HTTPError, ValueError) as problem:
            raise RequestError(clean(f"the server at {self.address} failed at {path}: {problem}")) from None

    async def open(self) -> None:
        import httpx2
        import openai

        self._response_type = httpx2.Response
        with connecting(self.entry):
            self._asking = openai.AsyncOpenAI(
                api_key=self.secret(),
                base_url=self.address,
                timeout=self.timeout,
                max_retries=0,
                http_client=bounded_client(openai),
            )

    async def aclose(self) -> None:
        await self._asking.close()

    def body(self, request: Request) -> dict[str, Any]:
        if isinstance(request, CurveRequest):
            curve = request.curve
            return self._after(curve.tokens, (curve.zeros[-1], curve.ones[-1])) | {"prompt_logprobs": TOP}
        limits = {"max_tokens": request.max_tokens, "stop": list(request.stop)}
        return {"model": self._name, "prompt": self.tokenize([request.prompt])[0], "temperature": 0.0, **limits}

    def _after(self, tokens: Sequence[int], labels: Sequence[int]) -> dict[str, Any]:
        """A request for the log-probabilities of exactly these tokens after others."""
        return {
            "model": self._name,
            "prompt": list(tokens),
            "temperature": 0.0,
            "max_tokens": 1,
            "logprobs": len(labels),
            "logprob_token_ids": list(labels),
            "return_tokens_as_token_ids": True,
        }

    def longest_reply(self, request: Request) -> int:
        return request.max_tokens

    def max_cost(self, request: Request) -> float:
        return 0.0

    async def send(self, body: dict[str, Any]) -> str:
        response = await self._asking.post("/completions", body=body, cast_to=self._response_type)
        return str(response.text)

    async def ask(self, request: Request) -> Reply:
        if isinstance(request, PositionsRequest):
            scores, usage = await self._scores([request.place])
            self.served.add(self._name)
            return Reply.of_scores(scores).changed(usage=usage, model=self._name)
        reply = await super().ask(request)
        if isinstance(request, CurveRequest):
            return await self._completed(request.curve, reply)
        return reply

    async def _completed(self, curve: Curve, reply: Reply) -> Reply:
        """Request labels outside the top logprobs separately."""
        scores = list(reply.scores or ())
        missing = [j for j, pair in enumerate(scores) if None in pair]
        if not missing:
            return reply
        self._alone += len(missing)
        places = [LabelPlace(curve.tokens[: curve.ends[j]], (curve.zeros[j],), (curve.ones[j],)) for j in missing]
        found, usage = await self._scores(places)
        for j, score in zip(missing, found, strict=True):
            scores[j] = [score.zero, score.one]
        whole = reply.usage or {}
        return reply.changed(scores=scores, usage={key: whole[key] + usage[key] for key in usage})

    async def _scores(self, places: Sequence[LabelPlace]) -> tuple[list[LabelScores], dict[str, int]]:
        nodes = list(dict.fromkeys(node for place in places for node in label_nodes(place)))
        texts = await asyncio.gather(*(self.request(self._after(context, labels)) for context, labels in nodes))
        values: dict[tuple[tuple[int, ...], int], float] = {}
        usage = {"input": 0, "cached": 0, "output": 0}
        try:
            for (context, labels), text in zip(nodes, texts, strict=True):
                answer = json.loads(text)
                top = answer["choices"][0]["logprobs"]["top_logprobs"][0]
                values |= {(context, label): _number(top[f"token_id:{label}"]) for label in labels}
                usage = {key: usage[key] + count for key, count in _usage(answer).items()}
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):
            raise TransientError("malformed reply: it has no log-probabilities of the labels", "reply") from None
        return [label_scores(place, values) for place in places], usage

    def read(self, request: Request, answer: Any) -> Reply:
        choice = answer["choices"][0]
        model, usage = answer["model"], _usage(answer)
        if not isinstance(request, CurveRequest):
            truncated = choice["finish_reason"] == "length"
            return Reply(model=model, usage=usage, text=choice["text"] or "", truncated=truncated)
        curve = request.curve
        last = {key.removeprefix("token_id:"): value for key, value in choice["logprobs"]["top_logprobs"][0].items()}
        inside = [choice["prompt_logprobs"][end] for end in curve.ends[:-1]]
        tops = [{key: _number(value["logprob"]) for key, value in top.items()} for top in inside]
        tops.append({key: _number(value) for key, value in last.items()})
        scores = [
            [top.get(str(zero)), top.get(str(one))]
            for top, zero, one in zip(tops, curve.zeros, curve.ones, strict=True)
        ]
        return Reply(model=model, usage=usage, scores=scores)


def _number(value: Any) -> float:
    """A log-probability; JSON has null for what is not a number."""
    return math.nan if value is None else float(value)


def _usage(answer: Any) -> dict[str, int]:
    usage = answer.get("usage") or {}
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    return {
        "input": usage.get("prompt_tokens", 0) - cached,
        "cached": cached,
        "output": usage.get("completion_tokens", 0),
    }
