"""Pretrained BERT-family models: building, loading, LoRA targets, merging."""
