"""Chat templates in the styles of known families, made for the tests, and what each should write, in plain Python."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Turns = Sequence[tuple[str, str]]

_ALTERNATING = (
    "{% if (turn['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
)
_SYSTEM_APART = (
    "{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}{% set turns = messages[1:] %}"
    "{% else %}{% set system = '' %}{% set turns = messages %}{% endif %}"
)

LLAMA_2 = (
    _SYSTEM_APART + "{% for turn in turns %}" + _ALTERNATING + "{% if turn['role'] == 'user' %}"
    "{{ bos_token + '[INST] ' }}{% if system and loop.first %}{{ '<<SYS>>\n' + system + '\n<</SYS>>\n\n' }}{% endif %}"
    "{{ turn['content'] | trim + ' [/INST]' }}{% else %}{{ ' ' + turn['content'] | trim + ' ' + eos_token }}{% endif %}"
    "{% endfor %}"
)
LLAMA_3 = (
    _SYSTEM_APART + "{{ bos_token }}{% set day = strftime_now('%d %b %Y') if strftime_now is defined else 'never' %}"
    "{{ '<|start_header_id|>system<|end_header_id|>\n\nToday Date: ' + day + '\n\n' + system + '<|eot_id|>' }}"
    "{% for turn in turns %}{{ '<|start_header_id|>' + turn['role'] + '<|end_header_id|>\n\n' + turn['content'] | trim"
    " + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
MISTRAL_1 = (
    "{{ bos_token }}{% for turn in messages %}" + _ALTERNATING + "{% if turn['role'] == 'user' %}"
    "{{ '[INST] ' + turn['content'] + ' [/INST]' }}{% else %}{{ turn['content'] + eos_token }}{% endif %}{% endfor %}"
)
MISTRAL_3 = (
    _SYSTEM_APART + "{{ bos_token }}{% for turn in turns %}{% if turn['role'] == 'user' %}{{ '[INST] ' }}"
    "{% if loop.last and system %}{{ system + '\n\n' }}{% endif %}{{ turn['content'] + '[/INST]' }}"
    "{% else %}{{ ' ' + turn['content'] + eos_token }}{% endif %}{% endfor %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('No system role') }}{% endif %}"
    "{% for turn in messages %}" + _ALTERNATING + "{% set role = 'model' if turn['role'] == 'assistant' else 'user' %}"
    "{{ '<start_of_turn>' + role + '\n' + turn['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
_CHATML_TURNS = (
    "{% for turn in messages %}"
    "{{ '<|im_start|>' + turn['role'] + '\n' + turn['content'] + '<|im_end|>\n' }}{% endfor %}"
)
CHATML = (
    "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou help.<|im_end|>\n' }}{% endif %}"
    + _CHATML_TURNS
    + "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
PHI_3 = (
    "{% for turn in messages %}{{ '<|' + turn['role'] + '|>\n' + turn['content'] + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"
)
ZEPHYR = (
    "{% for turn in messages %}{{ '<|' + turn['role'] + '|>\n' + turn['content'] + eos_token + '\n' }}"
    "{% if loop.last and add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}{% endfor %}"
)
VICUNA = (
    _SYSTEM_APART
    + "{{ system }}{% for turn in turns %}{% if turn['role'] == 'user' %}{{ ' USER: ' + turn['content'] }}"
    "{% else %}{{ ' ASSISTANT: ' + turn['content'] + eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ ' ASSISTANT:' }}{% endif %}"
)
COMMAND_R = (
    "{{ bos_token }}{% set who = {'user': 'USER', 'assistant': 'CHATBOT', 'system': 'SYSTEM'} %}"
    "{% for turn in messages %}{{ '<|START_OF_TURN_TOKEN|><|' + who[turn['role']] + '_TOKEN|>' }}"
    "{{ turn['content'] | trim + '<|END_OF_TURN_TOKEN|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>' }}{% endif %}"
)
R1 = (
    _SYSTEM_APART + "{{ bos_token + system }}{% for turn in turns %}{% if turn['role'] == 'user' %}"
    "{{ '<|User|>' + turn['content'] }}{% else %}"
    "{{ '<|Assistant|>' + turn['content'].split('</think>')[-1] + eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|Assistant|><think>\n' }}{% endif %}"
)
THINKING_ONLY = (
    "{% for turn in messages %}{{ '<|im_start|>' + turn['role'] + '\n' }}"
    "{% if turn['role'] == 'assistant' and loop.last %}{{ '<think>\n\n</think>\n\n' }}{% endif %}"
    "{{ turn['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n<think>\n' }}{% endif %}"
)
QWEN_3 = (
    "{% for turn in messages %}{{ '<|im_start|>' + turn['role'] + '\n' }}"
    "{% if turn['role'] == 'assistant' and loop.last %}{{ '<think>\n\n</think>\n\n' }}{% endif %}"
    "{{ turn['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
NOT_THINKING = (
    _CHATML_TURNS + "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n<think>\n\n</think>\n\n' }}{% endif %}"
)
CHANNELS = (
    "{% for turn in messages %}{{ '<|start|>' + turn['role'] }}"
    "{% if turn['role'] == 'assistant' %}{{ '<|channel|>final' }}{% endif %}"
    "{{ '<|message|>' + turn['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start|>assistant' }}{% endif %}"
)
UNOPENED = _CHATML_TURNS
ENDS_ALWAYS = (
    "{% for turn in messages %}{{ '<|' + turn['role'] + '|>' + turn['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}{{ eos_token }}"
)
SILENT_ABOUT_SYSTEM = (
    "{% for turn in messages %}{% if turn['role'] == 'user' %}{{ '<|user|>' + turn['content'] }}"
    "{% elif turn['role'] == 'assistant' %}{{ '<|assistant|>' + turn['content'] }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


@dataclass(frozen=True)
class Family:
    """A template, and what it should write up to an answer. `curve` is whether turns are asked as a curve, `remarks`
    what the run should say, `gap` stands between the prompt and an answer.
    """

    template: str
    write: Callable[[Turns], str]
    gap: str = ""
    curve: bool = True
    remarks: tuple[str, ...] = ()


def _apart(turns: Turns) -> tuple[str, Turns]:
    return (turns[0][1], turns[1:]) if turns[0][0] == "system" else ("", turns)


def _merged(turns: Turns) -> Turns:
    """The system message in the first user turn."""
    system, rest = _apart(turns)
    return [("user", f"{system}\n\n{rest[0][1]}"), *rest[1:]] if system else rest


def _each(turns: Turns, **forms: str) -> str:
    return "".join(forms[role].replace("*", content) for role, content in turns)


def _llama_2(turns: Turns) -> str:
    system, rest = _apart(turns)
    texts = [_each([turn], user="<s>[INST] * [/INST]", assistant=" * </s>") for turn in rest]
    return "".join(texts).replace("[INST] ", f"[INST] <<SYS>>\n{system}\n<</SYS>>\n\n" if system else "[INST] ", 1)


def _llama_3(turns: Turns) -> str:
    system, rest = _apart(turns)
    head = "<|start_header_id|>{}<|end_header_id|>\n\n"
    start = "<s>" + head.format("system") + f"Today Date: 26 Jul 2024\n\n{system}<|eot_id|>"
    forms = {role: head.format(role) + "*<|eot_id|>" for role in ("user", "assistant")}
    return start + _each(rest, **forms) + head.format("assistant")


def _mistral_3(turns: Turns) -> str:
    system, rest = _apart(turns)
    last = ("user", f"{system}\n\n{rest[-1][1]}" if system else rest[-1][1])
    return "<s>" + _each([*rest[:-1], last], user="[INST] *[/INST]", assistant=" *</s>")


def _gemma(turns: Turns) -> str:
    user, model = ("<start_of_turn>" + role + "\n" for role in ("user", "model"))
    end = "*<end_of_turn>\n"
    return "<s>" + _each(_merged(turns), user=user + end, assistant=model + end) + model


def _chatml(turns: Turns, default: str = "", assistant: str = "<|im_start|>assistant\n") -> str:
    forms = {role: f"<|im_start|>{role}\n*<|im_end|>\n" for role in ("system", "user", "assistant")}
    start = default if turns[0][0] != "system" else ""
    return start + _each(turns, **forms) + assistant


def _angled(turns: Turns, end: str, assistant: str) -> str:
    return _each(turns, **{role: f"<|{role}|>{end}" for role in ("system", "user", "assistant")}) + assistant


def _command_r(turns: Turns) -> str:
    names = {"system": "SYSTEM", "user": "USER", "assistant": "CHATBOT"}
    start = {role: f"<|START_OF_TURN_TOKEN|><|{name}_TOKEN|>" for role, name in names.items()}
    forms = {role: f"{text}*<|END_OF_TURN_TOKEN|>" for role, text in start.items()}
    return "<s>" + _each(turns, **forms) + start["assistant"]


def _vicuna(turns: Turns) -> str:
    system, rest = _apart(turns)
    return system + _each(rest, user=" USER: *", assistant=" ASSISTANT: *</s>") + " ASSISTANT:"


def _channels(turns: Turns) -> str:
    forms = {role: f"<|start|>{role}<|message|>*<|end|>" for role in ("system", "user")}
    forms["assistant"] = "<|start|>assistant<|channel|>final<|message|>*<|end|>"
    return _each(turns, **forms) + "<|start|>assistant<|channel|>final<|message|>"


_NO_SYSTEM = "the chat template takes no system message: it opens the first user turn"
FAMILIES = {
    "Llama 2": Family(LLAMA_2, _llama_2, gap=" "),
    "Llama 3": Family(LLAMA_3, _llama_3, remarks=("today's date in the chat template is always 26 Jul 2024",)),
    "Mistral 1": Family(
        MISTRAL_1,
        lambda turns: "<s>" + _each(_merged(turns), user="[INST] * [/INST]", assistant="*</s>"),
        remarks=(_NO_SYSTEM,),
    ),
    "Mistral 3": Family(MISTRAL_3, _mistral_3, gap=" ", curve=False),
    "Gemma": Family(GEMMA, _gemma, remarks=(_NO_SYSTEM,)),
    "ChatML": Family(CHATML, lambda turns: _chatml(turns, "<|im_start|>system\nYou help.<|im_end|>\n")),
    "Phi 3": Family(PHI_3, lambda turns: _angled(turns, "\n*<|end|>\n", "<|assistant|>\n")),
    "Zephyr": Family(ZEPHYR, lambda turns: _angled(turns, "\n*</s>\n", "<|assistant|>"), gap="\n"),
    "Vicuna": Family(VICUNA, _vicuna, gap=" "),
    "Command R": Family(COMMAND_R, _command_r),
    "Qwen 3": Family(QWEN_3, _chatml),
    "thinking switched off": Family(
        NOT_THINKING,
        lambda turns: _chatml(turns, assistant="<|im_start|>assistant\n<think>\n\n</think>\n\n"),
        curve=False,
    ),
    "channels": Family(
        CHANNELS,
        _channels,
        remarks=(
            "the chat template does not open an answer: '<|channel|>final<|message|>' is added, as in its answers",
        ),
    ),
    "unopened": Family(
        UNOPENED,
        _chatml,
        remarks=("the chat template does not open an answer: '<|im_start|>assistant\\n' is added, as in its answers",),
    ),
    "ends always": Family(
        ENDS_ALWAYS,
        lambda turns: _angled(turns, "*", "<|assistant|>"),
        remarks=("the chat template ends a prompt with '</s>', which is left out",),
    ),
    "silent about the system": Family(
        SILENT_ABOUT_SYSTEM, lambda turns: _angled(_merged(turns), "*", "<|assistant|>"), remarks=(_NO_SYSTEM,)
    ),
}

# Templates that are refused, and why.
REFUSED = {
    "earlier answers omitted": (
        "{% for turn in messages %}{% if turn['role'] != 'assistant' %}{{ turn['content'] }}{% endif %}{% endfor %}",
        r"omits turn 3 of 4 \(assistant\)",
    ),
    "only the last turn": (
        "{{ messages[0]['content'] + messages[-1]['content'] + '<|assistant|>' }}",
        r"omits turn 2 of 4 \(user\)",
    ),
    "only the last four turns": (
        "{% for turn in (messages[-4:] if messages | length > 4 else messages) %}"
        "{{ '<|' + turn['role'] + '|>' + turn['content'] }}{% endfor %}<|assistant|>",
        r"omits turn 1 of 6",
    ),
    "earlier turns last": (
        "{% for turn in messages | reverse %}{{ '<|' + turn['role'] + '|>' + turn['content'] }}{% endfor %}",
        r"omits turn 3 of 4",
    ),
    "contents in capitals": (
        "{% for turn in messages %}{{ turn['content'] | upper }}{% endfor %}",
        "omits turn 1 of",
    ),
    "long contents cut": (
        "{% for turn in messages %}{{ '<|' + turn['role'] + '|>' + turn['content'][:20] }}{% endfor %}<|assistant|>",
        "changes or omits 'You are given inputs",
    ),
    "contents in parts": (
        "{% for turn in messages %}{% for part in turn['content'] %}{{ part['text'] }}{% endfor %}{% endfor %}",
        "omits turn 1",
    ),
    "no user turns": ("{{ raise_exception('this model only translates') }}", "this model only translates"),
    "tools needed": ("{% for tool in tools %}{{ tool }}{% endfor %}", "'NoneType' object is not iterable"),
    "an undefined name": ("{{ messages[0]['content'] + greeting }}", "'greeting' is undefined"),
    "a date in any form": (
        "{% set form = '%Y' %}{{ strftime_now(form) + messages[0]['content'] }}",
        "writes the date in a form that cannot be fixed",
    ),
    "an invalid template": ("{% for %}", "does not take the turns"),
}
