"""What Dai et al. 2023 published (Tables 1 to 7, and 9), for the tables of a report: GPT models of 1.3B and 2.7B.

Their similarities were read at the token of a label, as their code does it, and not at the query's last token.
"""

MODELS = ("GPT 1.3B", "GPT 2.7B")
RECOVERY, LEARNING_RATE = "rec2ftp", "rate"

# Accuracies and Rec2FTP in percent, the similarities by the keys of the table of measures, and the learning rate.
_KEYS = ("zs", "ft", "icl", RECOVERY, "simaou", "simam", "simam_before", "kendall", LEARNING_RATE)
_FIGURES = {
    "sst2": ((70.5, 73.9, 92.7, 91.84, 0.110, 0.585, 0.555, 0.192, 0.0005),
             (71.4, 76.9, 95.0, 96.83, 0.195, 0.687, 0.687, 0.213, 0.007)),
    "sst5": ((39.3, 39.5, 45.0, 66.67, 0.080, 0.404, 0.391, 0.151, 0.00016),
             (35.9, 39.1, 46.5, 71.60, 0.323, 0.492, 0.380, 0.177, 0.04)),
    "mr": ((65.9, 73.0, 89.0, 97.08, 0.222, 0.498, 0.398, 0.173, 0.003),
           (60.9, 80.0, 91.3, 95.83, 0.157, 0.347, 0.314, 0.264, 0.001)),
    "subj": ((72.6, 77.8, 90.0, 87.17, 0.191, 0.490, 0.378, 0.181, 0.003),
             (75.2, 86.1, 90.3, 87.63, 0.212, 0.374, 0.346, 0.203, 0.002)),
    "agnews": ((46.3, 65.3, 79.2, 83.08, 0.281, 0.496, 0.152, 0.190, 0.2),
               (39.8, 65.7, 80.3, 84.44, 0.333, 0.485, 0.172, 0.201, 0.2)),
    "cb": ((37.5, 55.4, 57.1, 87.50, 0.234, 0.177, 0.152, 0.274, 0.08),
           (42.9, 57.1, 55.4, 100.00, 0.130, 0.217, 0.228, 0.225, 0.01)),
}  # fmt: skip
# By set of texts, model and key.
PUBLISHED: dict[str, dict[str, dict[str, float]]] = {
    texts: {model: dict(zip(_KEYS, row, strict=True)) for model, row in zip(MODELS, rows, strict=True)}
    for texts, rows in _FIGURES.items()
}
