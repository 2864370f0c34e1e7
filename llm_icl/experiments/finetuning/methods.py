"""The updates of the weights that are compared with in-context learning: what is published, the null, and the controls.
All but the first two are as long as the first one's update, so that they differ from it in their direction only.
"""

# As published (Dai et al. 2023), and the alternative (Deutch et al. 2024) at the same learning rate.
PUBLISHED_METHOD, LAYER_CAUSAL = "gradient descent", "layer-causal gradient descent"
LAYER_CAUSAL_MATCHED = "layer-causal, matched length"
# The null: random directions.
RANDOM = "random updates"
# The controls: what they share with in-context learning is not due to learning the same examples.
OTHER, SHUFFLED, ORDER, UNTRAINED = "other demonstrations", "shuffled labels", "another order", "untrained model"
# The null of the untrained model: as long as its own update.
UNTRAINED_RANDOM = "untrained model, random updates"

# The draws of random updates have names of their own in the files of runs.
DRAWS = {name: tuple(f"{name}, {number}" for number in (1, 2, 3)) for name in (RANDOM, UNTRAINED_RANDOM)}

# What the published method is compared with besides random updates, in a sentence.
CONTROLS = {
    OTHER: "finetuning on other demonstrations",
    SHUFFLED: "finetuning on shuffled labels",
    ORDER: "finetuning in another order",
    UNTRAINED: "an untrained model",
    LAYER_CAUSAL_MATCHED: "layer-causal gradient descent",
}

# The column of the stored tables that holds the method. Runs of all versions have this name in their files.
METHOD = "way"


def draws(method: str) -> tuple[str, ...]:
    """The method's names in the files of runs."""
    return DRAWS.get(method, (method,))


def null_of(method: str) -> str:
    """The random updates that are as long as this method's."""
    return UNTRAINED_RANDOM if method == UNTRAINED else RANDOM
