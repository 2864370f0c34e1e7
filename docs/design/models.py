"""The page on local models, with what was measured of every architecture: `python docs/design/models.py` writes it.

Takes two minutes. The measurement is that of the tests (`tests/backends/architectures`).
"""

import logging
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.backends.architectures.families import RANDOM, REFUSED, UNFIT, candidates  # noqa: E402
from tests.backends.architectures.measuring import Finding, measure  # noqa: E402

TARGET = Path(__file__).with_suffix(".md")
INTRODUCTION = """# Models in this process

<!-- Made by docs/design/models.py: change that, not this page. -->

**All weights or none** (`llm_icl/backends/loading.py`, for every command that loads a model). transformers gives random
values to weights that a checkpoint lacks, and ignores those for which the model has no place. Its report of both is
read, and a model is refused, with the names of some, where weights are missing (also the head of an untied model, a
shard, a tensor of a GGUF file), have another shape, are not finite, or are left over where they would change the model:
inside a layer, or beside weights of a module that the model has, such as a bias that the configuration omits, the scale
of a quantized weight, an adapter. Left over and harmless are another head, a vision tower, layers that predict further
tokens, and buffers that follow from the configuration. A GGUF file must not have more weights than the model.

**Checked before it is asked** (`llm_icl/backends/forward/self_check.py`): nine passes over 16 tokens, once for each
loaded model. It is refused if its outputs are not finite, differ between calls, or change with what follows (an encoder
that is loaded as a decoder, which would read the labels that it should predict; the same holds for `train` on a
pretrained model), or if its configuration says that its attention hashes tokens at random (Reformer), which short
sequences do not show. What saves work is used only if it gives the same logits as separate passes over whole sequences;
what does not is left out, and the reason stands in the run and the report beside the mode:

| what | used for | else |
| --- | --- | --- |
| several sequences in one pass | several problems together, on a GPU | one problem after the other |
| a prefix's cache, continued | instructions that prompts share; prompts that go on from the last | whole prompts |
| a cache that is cut back | separate prompts that begin alike | whole prompts, unless they go on from the last |

Several queries behind the same examples are packed into one sequence, where each sees the examples and itself
(`llm_icl/backends/forward/packing.py`): eight queries cost 1.4 to 1.5 times one with SmolLM2 135M (conjunction, n = 5;
5, 10 and 20 examples; processor time of `python -m tests.benchmarks queries`), where a batch of them cost 1.62 times
one. What keeps ends apart may fail only in longer sequences (a window of attention, positions by place), so it is
compared with the batch at the first ends of each greater length, of the whole sequence or of what one end sees, and
given up if the logits differ; a model that takes no numbers of positions (ALiBi) is never packed.

Logits count as the same if they differ by less than 0.001 of their standard deviation in float32, where rounding gives
0.00001 (SmolLM2 135M and Gemma 3 270M, 500 tokens). In half precision it is 0.025 (float16) and 0.2 (bfloat16), about
five steps of a logit of usual size, and the usual position counts instead of the worst, because a rounding may send a
single token to another expert. In bfloat16 these two models' probabilities differ by up to 0.06 between a pass over 500
tokens and one in two pieces: that is their precision.

Keys and values are kept in full where a layer has a sliding window, because transformers' own cache for such layers
cannot go back beyond what the window has left.

**Loaded when something is asked.** What the checks and the configuration say is kept by the content of the weights
(a checksum, or a commit of the hub), the data type, the device and the versions of torch and transformers
(`llm_icl/backends/forward/known.py`), in the folder of the embedded models. A run whose replies are all known reads the
tokenizer alone; whatever is loaded is checked again. Files at a path are known by size and time only: such models are
loaded by every run.

**Prompts on both sides of a turn.** LongRoPE (Phi-3 and others) encodes all positions differently once a sequence is
longer than the original context, so a longer prompt does not contain a shorter one. Prompts on both sides of that
length are asked separately, and nothing is reused across it.

**Generated replies** are the likeliest token after the other, whatever the checkpoint's generation configuration asks
for: a penalty for repeated tokens would fall on the labels of the examples.

## Every architecture of transformers
"""
METHOD = """Each family that transformers {version} loads as a causal language model is made tiny from its configuration
(two to four layers of width 32, windows of 64 tokens, prompts of 58 to 108 tokens), with random weights large enough
that its probabilities depend on the context. Two problems are asked position by position and in one pass, alone and
together, with the instruction read once and not, and four queries behind the same examples. *Difference* is the largest
one of P(1) from a pass of the model itself over each whole prompt, in float32; greedy replies are the model's own too.
{count} families and variants are asked, {reused} with everything reused.
"""


def page(found: dict[str, Finding]) -> str:
    asked = {name: one for name, one in found.items() if not one.refused}
    rows = [f"| {name} | {one.largest:.0e} | {'; '.join(one.reasons)} |" for name, one in asked.items()]
    reused = sum(not one.reasons for one in asked.values())
    parts = [
        INTRODUCTION,
        METHOD.format(version=version("transformers"), count=len(asked), reused=reused),
        "| family | difference | not reused, and why |\n| --- | --- | --- |",
        *rows,
        "\n**Refused**, as their default configuration is not causal: " + ", ".join(sorted(REFUSED)) + ".",
        "\nRefused, as their attention hashes tokens at random: " + ", ".join(sorted(RANDOM)) + ".",
        "\n**Not asked**:\n",
        *(f"- {name}: {why}" for name, why in UNFIT.items()),
    ]
    return "\n".join(parts) + "\n"


def main() -> None:
    logging.disable()
    found = {}
    for name in candidates():
        with tempfile.TemporaryDirectory() as folder:
            found[name] = measure(name, Path(folder) / "model")
        print(name, found[name].refused or f"{found[name].largest:.0e}", flush=True)
    TARGET.write_text(page(found), encoding="utf-8")
    print(TARGET.relative_to(ROOT))


if __name__ == "__main__":
    main()
