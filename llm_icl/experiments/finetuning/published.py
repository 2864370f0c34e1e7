"""What Dai et al. 2023 published (Tables 1 to 7, and 9), for the tables of a report: GPT models of 1.3B and 2.7B.

Their similarities were read at the token of a label, as their code does it, and not at the query's last token.
"""

MODELS = ("GPT 1.3B", "GPT 2.7B")

# By set of texts and model: accuracies in percent, Rec2FTP in percent, the similarities, and the rate.
PUBLISHED: dict[str, dict[str, dict[str, float]]] = {
    "sst2": {
        "GPT 1.3B": {"zs": 70.5, "ft": 73.9, "icl": 92.7, "Rec2FTP": 91.84, "SimAOU at a label": 0.110, "SimAM": 0.585,
                     "SimAM before finetuning": 0.555, "Kendall, as published": 0.192, "rate": 0.0005},
        "GPT 2.7B": {"zs": 71.4, "ft": 76.9, "icl": 95.0, "Rec2FTP": 96.83, "SimAOU at a label": 0.195, "SimAM": 0.687,
                     "SimAM before finetuning": 0.687, "Kendall, as published": 0.213, "rate": 0.007},
    },
    "sst5": {
        "GPT 1.3B": {"zs": 39.3, "ft": 39.5, "icl": 45.0, "Rec2FTP": 66.67, "SimAOU at a label": 0.080, "SimAM": 0.404,
                     "SimAM before finetuning": 0.391, "Kendall, as published": 0.151, "rate": 0.00016},
        "GPT 2.7B": {"zs": 35.9, "ft": 39.1, "icl": 46.5, "Rec2FTP": 71.60, "SimAOU at a label": 0.323, "SimAM": 0.492,
                     "SimAM before finetuning": 0.380, "Kendall, as published": 0.177, "rate": 0.04},
    },
    "mr": {
        "GPT 1.3B": {"zs": 65.9, "ft": 73.0, "icl": 89.0, "Rec2FTP": 97.08, "SimAOU at a label": 0.222, "SimAM": 0.498,
                     "SimAM before finetuning": 0.398, "Kendall, as published": 0.173, "rate": 0.003},
        "GPT 2.7B": {"zs": 60.9, "ft": 80.0, "icl": 91.3, "Rec2FTP": 95.83, "SimAOU at a label": 0.157, "SimAM": 0.347,
                     "SimAM before finetuning": 0.314, "Kendall, as published": 0.264, "rate": 0.001},
    },
    "subj": {
        "GPT 1.3B": {"zs": 72.6, "ft": 77.8, "icl": 90.0, "Rec2FTP": 87.17, "SimAOU at a label": 0.191, "SimAM": 0.490,
                     "SimAM before finetuning": 0.378, "Kendall, as published": 0.181, "rate": 0.003},
        "GPT 2.7B": {"zs": 75.2, "ft": 86.1, "icl": 90.3, "Rec2FTP": 87.63, "SimAOU at a label": 0.212, "SimAM": 0.374,
                     "SimAM before finetuning": 0.346, "Kendall, as published": 0.203, "rate": 0.002},
    },
    "agnews": {
        "GPT 1.3B": {"zs": 46.3, "ft": 65.3, "icl": 79.2, "Rec2FTP": 83.08, "SimAOU at a label": 0.281, "SimAM": 0.496,
                     "SimAM before finetuning": 0.152, "Kendall, as published": 0.190, "rate": 0.2},
        "GPT 2.7B": {"zs": 39.8, "ft": 65.7, "icl": 80.3, "Rec2FTP": 84.44, "SimAOU at a label": 0.333, "SimAM": 0.485,
                     "SimAM before finetuning": 0.172, "Kendall, as published": 0.201, "rate": 0.2},
    },
    "cb": {
        "GPT 1.3B": {"zs": 37.5, "ft": 55.4, "icl": 57.1, "Rec2FTP": 87.50, "SimAOU at a label": 0.234, "SimAM": 0.177,
                     "SimAM before finetuning": 0.152, "Kendall, as published": 0.274, "rate": 0.08},
        "GPT 2.7B": {"zs": 42.9, "ft": 57.1, "icl": 55.4, "Rec2FTP": 100.00, "SimAOU at a label": 0.130, "SimAM": 0.217,
                     "SimAM before finetuning": 0.228, "Kendall, as published": 0.225, "rate": 0.01},
    },
}  # fmt: skip
