"""Encoder classifiers that ONNX Runtime runs: export, 8-bit weights and activations, safe opening."""
