"""Columns of tables whose names a page explains where they stand."""

TERMS = {
    "last position": "Accuracy at the last position: the query after the most examples.",
    "mean": "Accuracy over all queries, in percent, with its 95 % interval; the unit is the problem.",
    "seen": "Accuracy on queries that are among their own examples: looking up suffices.",
    "unseen": "Accuracy on queries that are not among their examples: only here learning shows.",
    "regret vs. bayes (points)": "Accuracy of exact Bayes minus the learner's, in points, paired by problem. "
    "'identical': the same answers throughout; [too few]: too few problems for an interval.",
    "regret vs. bayes-labels (points)": "The same against exact Bayes that takes inputs as given and learns from "
    "labels only.",
    "identified as": "The algorithm that gives such answers to the unseen queries that were asked anyway; a longer "
    "account is below the table. Where the subject's card stands on searched queries, those tell more.",
    "examples to 90 %": "Examples until the expected accuracy is 90 %; 'not shown' unless the problems show it.",
    "log loss": "Mean of -log P(true label), in nats: lower is better; a certain error costs most.",
    "log loss above bayes-labels": "Log loss minus that of exact Bayes from the labels, paired by problem.",
    "overconfidence (points)": "Mean confidence, max(P, 1 - P), minus accuracy: 0 for one that is as often right as it "
    "says.",
    "probability on the labels": "Mean of P(0) + P(1) among all tokens, to which P(y = 1) is normalised.",
    "coverage (positions)": "The share of positions that were answered at all; missing ones are not counted as wrong.",
    "explained": "The share of what is regular in the answers, beyond a constant, that the verdict predicts.",
    "explained share": "The share of what is regular in the answers, beyond a constant, that the verdict predicts.",
    "hardly told from": "Algorithms that need more problems than there are to be told from the named one.",
}
