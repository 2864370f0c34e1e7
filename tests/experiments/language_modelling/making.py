"""Small texts, and a small comparison of attentions on them."""

import random

WORDS = "the of river stone walks under bright cold seven lantern and a".split()
SIZES = "--vocabulary 300 --width 16 --layers 1 --heads 2 --context 32"
TRAIN = f"train-lm --text train.txt --held-out held.txt {SIZES}"
COMMAND = f"{TRAIN} --steps 30 --evaluate-every 3 --batch-size 4 --seed 1,2"
ATTENTIONS, SEEDS, LENGTHS = ("softmax", "momentum", "momentum-learned"), (1, 2), (8, 16, 32)
MODELS = [f"{attention}-{seed}" for attention in ATTENTIONS for seed in SEEDS]


def story(lines, seed, ending=""):
    made = random.Random(seed)
    return "".join(
        f"{' '.join(made.choices(WORDS, k=8))} {made.randint(0, 1999)}. Input: 0 1 Label: 1{ending}\n"
        for _ in range(lines)
    )


def write_texts(folder):
    (folder / "train.txt").write_text(story(300, 0))
    (folder / "held.txt").write_text(story(40, 1, " zyqquux"))
