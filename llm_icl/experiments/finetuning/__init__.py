"""Compare in-context learning with finetuning on the same demonstrations."""

KIND = "finetune-vs-icl"
