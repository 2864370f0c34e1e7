"""What the numbers allow to say. All thresholds are here."""

from collections.abc import Sequence

# Answers depend on something if what the best constant leaves has a p-value below this; a candidate is beaten by the
# leading one below it, by Holm's method.
LEVEL = 0.01
# A candidate or a mixture is rejected if what it leaves has a p-value below this.
REJECTED = 0.02
# A model that explains this share of the subject's own regularity leaves nothing that matters; candidates that all do
# so are one.
WHOLE = 0.98
# A single algorithm explains at least this share, if the subject's own noise is known.
LEAST_SHARE = 0.25
# "None of these": the mixture explains less.
HALF = 0.5
# An algorithm is named only if HALF of the other candidates, of those that say anything else, would be found with POWER
# if they were run on this share of the answers.
PART = 0.25
# A claim of difference needs this power.
POWER = 0.8
# Components are named if their weight, averaged over the numbers of examples, is above this with its whole interval.
LEAST_WEIGHT = 0.1
# The algorithm changes with the number of examples if one component has this share of the weight at each.
DOMINANT = 0.85
# Components with no more weight than this in all, none of which is shown to be LEAST_WEIGHT, are not run at a number of
# examples.
LITTLE = 0.25
# A pull so many standard deviations strong is one; one that is so much weaker than expected is none.
PULLED = 3.0
# What is run at a number of examples at which the answers follow nothing.
NO_ALGORITHM = "no algorithm"

KINDS = {
    "too few": "too few problems",
    "independent": "the answers do not depend on the examples",
    "single": "one algorithm",
    "changes": "one algorithm for each number of examples",
    "queries": "a mixture, drawn anew at every query",
    "contexts": "a mixture over contexts",
    "problems": "a mixture over problems",
    "nearest": "nearest to one, but not it",
    "none": "none of these",
}


def in_short(kind: str, names: Sequence[str]) -> str:
    """A verdict in a few words, for tables."""
    if kind == "nearest":
        return f"nearest to {', '.join(names)}, but not it"
    if kind == "none" and names:
        return f"{KINDS[kind]} (nearest: {', '.join(names)})"
    among = (" or " if kind in ("single", "too few") else ", ").join(names)
    return f"{KINDS[kind]} ({among})" if names else KINDS[kind]
