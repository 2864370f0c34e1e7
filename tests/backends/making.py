"""Tokenizers of the known kinds, made on the spot, each with a tiny causal model."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

BOS, EOS, UNK, PAD = "<s>", "</s>", "<unk>", "<pad>"
SPECIAL = [UNK, BOS, EOS, PAD]
# What prompts are made of, so that a vocabulary of words or characters has all of it.
TEXT = [
    "You are given some examples of inputs and their corresponding labels. You need to learn the underlying boolean "
    "function represented by these input-label examples. Predict the label (either 0 or 1) for the final input.",
    "You are a learning algorithm. You are BoolGPT, a learning algorithm that learns boolean functions from given "
    "examples. Only respond with a 0 or 1.",
    "Input: 0 1 1 0\nLabel: 1\nInput: [0, 1, 0]\nLabel: 0",
    "either no or yes, A or B",
    "<|user|> <|assistant|> [INST] [/INST]",
]


def byte_level(prefix: bool = False, merges: int = 60, words: bool = True) -> Tokenizer:
    """GPT-2, Llama 3, Qwen: every byte has a token."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=words)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    size = len(SPECIAL) + len(alphabet) + merges
    made.train_from_iterator(
        TEXT, trainers.BpeTrainer(vocab_size=size, special_tokens=SPECIAL, initial_alphabet=alphabet)
    )
    return made


def with_merges(made: Tokenizer, *pairs: tuple[str, str]) -> Tokenizer:
    """One token for each of these pairs of tokens, and no other merges."""
    vocabulary = made.get_vocab()
    for pair in pairs:
        vocabulary.setdefault("".join(pair), len(vocabulary))
    made.model = models.BPE(vocabulary, list(pairs))
    return made


def sentence_pieces(prepend: str = "first", merges: Sequence[tuple[str, str]] = (("▁", "L"),)) -> Tokenizer:
    """Llama 2, Gemma, Mistral: blanks are part of the words; bytes for what is not in the vocabulary."""
    vocabulary = {token: i for i, token in enumerate([*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256))])}
    for token in [*"▁01LIabelnput:", *map("".join, merges)]:
        vocabulary[token] = len(vocabulary)
    made = Tokenizer(models.BPE(vocabulary, list(merges), unk_token=UNK, fuse_unk=True, byte_fallback=True))
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=prepend, split=False)
    made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return made


def unigram(*whole: str) -> Tokenizer:
    """T5, XGLM: the likeliest division into pieces; `whole` pieces are likelier than their characters."""
    characters = sorted(set("".join(TEXT)) - {" "})
    pieces = [(token, 0.0) for token in SPECIAL] + [(char, -4.0) for char in ["▁", *characters]]
    made = Tokenizer(models.Unigram(pieces + [(piece, -2.0) for piece in ["▁Input", "▁Label", *whole]], unk_id=0))
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    return made


def word_pieces() -> Tokenizer:
    """BERT, uncased: no line breaks, and pieces that go on with ##."""
    characters = sorted(set("".join(TEXT).lower()) - {" ", "\n"})
    tokens = [*SPECIAL, *characters, *(f"##{char}" for char in characters), "input", "label", "lab", "##el"]
    made = Tokenizer(models.WordPiece({token: i for i, token in enumerate(tokens)}, unk_token=UNK))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    return made


def words(known: Sequence[str] = ()) -> Tokenizer:
    """Whole words; other words are unknown."""
    made = Tokenizer(models.WordLevel(unk_token=UNK))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.train_from_iterator([*TEXT, *known], trainers.WordLevelTrainer(special_tokens=SPECIAL))
    return made


def characters(without: str = "") -> Tokenizer:
    """A token for each character; characters `without` one are dropped without a word."""
    alphabet = sorted(set("".join(TEXT)) - set(without))
    return Tokenizer(models.BPE({token: i for i, token in enumerate([*SPECIAL, *alphabet])}, []))


def framed(made: Tokenizer, frame: str) -> Tokenizer:
    """What a tokenizer writes around a text: a frame such as `<s> $A </s>`."""
    known = [(token, made.token_to_id(token)) for token in SPECIAL]
    made.post_processor = processors.TemplateProcessing(single=frame, special_tokens=known)
    return made


def normalised(made: Tokenizer, *steps: normalizers.Normalizer) -> Tokenizer:
    made.normalizer = normalizers.Sequence(list(steps))
    return made


def cutting(made: Tokenizer) -> Tokenizer:
    """A tokenizer that was saved with truncation and padding."""
    made.enable_truncation(16)
    made.enable_padding(length=24, pad_id=made.token_to_id(PAD), pad_token=PAD)
    return made


def save(folder: Path, made: Tokenizer | Any, template: str | None = None, **settings: Any) -> Path:
    """A folder with the tokenizer and a GPT-2 with random weights."""
    if isinstance(made, Tokenizer):
        made = PreTrainedTokenizerFast(
            tokenizer_object=made,
            **{"eos_token": EOS, "unk_token": UNK, "pad_token": PAD, "bos_token": BOS, **settings},
        )
    if template is not None:
        made.chat_template = template
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(made), n_positions=2048, n_embd=32, n_layer=2, n_head=2, bos_token_id=1, eos_token_id=2
    )
    model = GPT2LMHeadModel(config)
    for parameter in model.parameters():  # sharper than a fresh model, so that errors show
        parameter.data.mul_(3)
    model.save_pretrained(folder)
    made.save_pretrained(folder)
    return folder


def label_log_odds(
    folder: Path, texts: Sequence[str], continuations: tuple[str, str], encode: Callable[[str], Sequence[int]]
) -> list[float]:
    """log P(1)/P(0) after each text by the definition: the whole text with each label, encoded and read alone."""
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    found = []
    for text in texts:
        sequences = [list(encode(text + continuation)) for continuation in continuations]
        common = next(i for i, (a, b) in enumerate(zip(*sequences, strict=False)) if a != b)
        totals = []
        for tokens in sequences:
            with torch.no_grad():
                logs = torch.log_softmax(model(torch.tensor([tokens])).logits[0].double(), -1)
            totals.append(sum(float(logs[i - 1, tokens[i]]) for i in range(common, len(tokens))))
        found.append(totals[1] - totals[0])
    return found
