"""Fine-tuning runs: a pretrained model, its data, full or with an adapter, to a finished run folder."""
