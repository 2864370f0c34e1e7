"""The methods of finetuning that are compared with in-context learning, and the controls among them."""

# The first is the published one, the second an alternative.
PUBLISHED_METHOD, LAYER_CAUSAL = "gradient descent", "layer-causal gradient descent"
# The controls: what they share with in-context learning is not due to learning the same examples.
OTHER, SHUFFLED, UNTRAINED = "other demonstrations", "shuffled labels", "untrained model"

# The controls in a sentence.
CONTROLS = {
    OTHER: "finetuning on other demonstrations",
    SHUFFLED: "finetuning on shuffled labels",
    UNTRAINED: "an untrained model",
}

# The column of the stored tables that holds the method. Runs of all versions have this name in their files.
METHOD = "way"
