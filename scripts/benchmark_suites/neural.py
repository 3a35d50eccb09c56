"""The suite ``neural`` of ``benchmark.py``: our translation models and our decoder against the same shapes elsewhere.

Peers: MarianMT and GPT-2 of transformers, ``nn.Transformer`` and ``nn.LSTM`` of torch. All contenders of a case train
on the same batches of random sentences, with the same optimiser, no dropout and no label smoothing; a case is some
optimiser steps, or the translation of some sentences with a beam of 5. Weights are random, so that what is compared is
the time of equal work, not its result; beams run to a fixed length for the same reason.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

CONTENDERS = {"torch": "torch", "transformers": "transformers", "nlpladder": "nlpladder"}
CASES: dict[str, dict[str, Any]] = {
    "Transformer, training, float32": {"kind": "transformer"},
    "Transformer, training, bfloat16": {"kind": "transformer", "bfloat16": True},
    "Transformer, beam 5 with cache, float32": {"kind": "transformer", "beams": 5},
    "recurrent with additive attention, training, float32": {"kind": "additive"},
    "recurrent with additive attention, training, bfloat16": {"kind": "additive", "bfloat16": True},
    "recurrent with dot attention, training, float32": {"kind": "dot"},
    "character decoder (4 x 128), training, float32": {"kind": "decoder"},
    "character decoder (4 x 128), training, bfloat16": {"kind": "decoder", "bfloat16": True},
}
VOCABULARY, WIDTH, INNER, HEADS, LAYERS = 10_000, 128, 256, 4, 4
RECURRENT_EMBEDDING, RECURRENT_WIDTH = 256, 256
PAIRS, STEPS, SENTENCES, NEW_TOKENS = 160, 12, 64, 16
CHARACTERS, BLOCK, ROWS, DECODER_STEPS = 65, 64, 48, 60
PAD, BOS, EOS = 0, 2, 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this suite."""
    parser.add_argument("--threads", type=int, default=2, help="threads of torch (default: 2)")


def write_input(options: dict[str, Any], folder: Path) -> str:
    """Write the settings that the measuring processes read, and describe the work."""
    (folder / "settings.json").write_text(json.dumps({"threads": options["threads"]}))
    return (
        f"Transformer of {LAYERS}+{LAYERS} layers, width {WIDTH}, inner width {INNER}, {HEADS} heads; recurrent models "
        f"of width {RECURRENT_WIDTH}; vocabulary {VOCABULARY:,}; {STEPS} steps of {PAIRS} sentence pairs of about 14 "
        f"tokens; {SENTENCES} sentences decoded to {NEW_TOKENS} tokens; {options['threads']} threads."
    )


def amount(case: str, folder: Path) -> tuple[float, str]:
    """Return how much work a case is, and its unit."""
    settings = CASES[case]
    if settings.get("beams"):
        return float(SENTENCES), "sentences"
    if settings["kind"] == "decoder":
        return float(DECODER_STEPS * ROWS * BLOCK), "tokens"
    return float(sum(int((batch["targets"] != -100).sum()) for batch in batches(STEPS))), "target tokens"


def skip(case: str, contender: str) -> str | None:
    """Say why a contender cannot run a case."""
    settings = CASES[case]
    if contender == "torch" and (settings.get("beams") or settings["kind"] == "decoder"):
        return "torch has no beam search and no decoder with a cache"
    if contender == "transformers" and settings["kind"] in ("additive", "dot"):
        return "transformers has no recurrent encoder-decoder"
    return None


def batches(count: int) -> Iterator[dict[str, Any]]:
    """Yield padded batches of random sentence pairs, the same at every call."""
    import numpy as np
    import torch

    generator = np.random.default_rng(0)
    for _ in range(count):
        lengths = np.sort(np.clip(generator.normal(14, 3, size=PAIRS).round().astype(int), 6, 24))
        width = int(lengths.max())
        ids = generator.integers(5, VOCABULARY, size=(2, PAIRS, width))
        inside = np.arange(width)[None, :] < lengths[:, None]
        source, target = (torch.from_numpy(np.where(inside, side, PAD)) for side in ids)
        mask = torch.from_numpy(inside.astype(np.int64))
        decoder = torch.cat([torch.full((PAIRS, 1), BOS), target[:, :-1]], dim=1)
        yield {
            "input_ids": source,
            "attention_mask": mask,
            "decoder_input_ids": decoder,
            "targets": torch.where(mask.bool(), target, torch.full_like(target, -100)),
        }


def character_batches(count: int) -> Iterator[dict[str, Any]]:
    """Yield blocks of random characters."""
    import torch

    generator = torch.Generator().manual_seed(0)
    for _ in range(count):
        ids = torch.randint(5, CHARACTERS, (ROWS, BLOCK + 1), generator=generator)
        yield {"input_ids": ids[:, :-1].contiguous(), "targets": ids[:, 1:].contiguous()}


def prepare(case: str, contender: str, folder: Path) -> tuple[Callable[[], Any], Callable[[Any], None]]:
    """Build the model, warm up, and return the call to measure; results are not compared."""
    import torch

    torch.set_num_threads(json.loads((folder / "settings.json").read_text())["threads"])
    torch.manual_seed(0)
    settings = CASES[case]
    model, loss_of = build(settings, contender)
    if settings.get("beams"):
        return decoding(model, settings["beams"], contender), lambda result: None
    decoder = settings["kind"] == "decoder"
    make = character_batches if decoder else batches
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def train(steps: int) -> None:
        for batch in make(steps):
            context: Any = torch.autocast("cpu", torch.bfloat16) if settings.get("bfloat16") else nullcontext()
            with context:
                loss = loss_of(model, batch)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    model.train()
    train(2)
    return lambda: train(DECODER_STEPS if decoder else STEPS), lambda result: None


def decoding(model: Any, beams: int, contender: str) -> Callable[[], Any]:
    """Return the call that translates some sentences to a fixed number of tokens: our search, or ``generate()``."""
    import torch

    model.eval()
    batch = next(batches(1))
    chosen = {name: batch[name][:SENTENCES] for name in ("input_ids", "attention_mask")}

    def generate() -> Any:
        settings = {"num_beams": beams, "do_sample": False, "max_new_tokens": NEW_TOKENS, "min_new_tokens": NEW_TOKENS}
        with torch.inference_mode():
            return model.generate(**chosen, **settings)

    def search() -> Any:
        from nlpladder.models.beam_search import beam_search

        with torch.inference_mode():
            encoded = model.get_encoder()(**chosen, return_dict=True)
        return beam_search(
            model, encoded, chosen["attention_mask"], start=BOS, ends=[EOS], never=[EOS],
            limits=[NEW_TOKENS] * len(chosen["input_ids"]), num_beams=beams,
        )  # fmt: skip

    decode = search if contender == "nlpladder" else generate
    decode()
    return decode


def build(settings: dict[str, Any], contender: str) -> tuple[Any, Callable[[Any, dict[str, Any]], Any]]:
    """Return a model with random weights, and how its loss (the mean over target tokens) is computed."""
    kind = settings["kind"]
    if contender == "nlpladder":
        return build_ours(kind), _our_loss
    if contender == "transformers":
        return build_transformers(kind), _hugging_face_loss
    from benchmark_suites import neural_torch as plain

    model = plain.PlainTransformer() if kind == "transformer" else plain.PlainRecurrent(kind)
    return model, plain.loss_of


def _our_loss(model: Any, batch: dict[str, Any]) -> Any:
    return model(**batch).loss / (batch["targets"] != -100).sum()


def _hugging_face_loss(model: Any, batch: dict[str, Any]) -> Any:
    """As their classes are trained: logits of all positions, then the cross-entropy."""
    import torch

    logits = model(**{name: value for name, value in batch.items() if name != "targets"}, use_cache=False).logits
    return torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), batch["targets"].flatten())


def build_transformers(kind: str) -> Any:
    """Build the peer of transformers."""
    from transformers import GPT2Config, GPT2LMHeadModel, MarianConfig, MarianMTModel

    if kind == "decoder":
        return GPT2LMHeadModel(
            GPT2Config(
                vocab_size=CHARACTERS, n_positions=BLOCK, n_embd=128, n_layer=4, n_head=4, resid_pdrop=0.0,
                embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=EOS, eos_token_id=EOS, pad_token_id=PAD,
            )
        )  # fmt: skip
    return MarianMTModel(
        MarianConfig(
            vocab_size=VOCABULARY, d_model=WIDTH, encoder_layers=LAYERS, decoder_layers=LAYERS,
            encoder_attention_heads=HEADS, decoder_attention_heads=HEADS, encoder_ffn_dim=INNER,
            decoder_ffn_dim=INNER, max_position_embeddings=64, dropout=0.0, activation_function="relu",
            scale_embedding=True, pad_token_id=PAD, bos_token_id=BOS, eos_token_id=EOS, forced_eos_token_id=None,
            decoder_start_token_id=BOS, share_encoder_decoder_embeddings=True,
        )
    )  # fmt: skip


def build_ours(kind: str) -> Any:
    """Build this package's model of the same shape."""
    ids = {"pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": EOS}
    if kind == "decoder":
        from nlpladder.models.transformer.causal_lm import TransformerForCausalLM

        config = TransformerForCausalLM.config_class(
            vocab_size=CHARACTERS, hidden_size=128, num_hidden_layers=4, num_attention_heads=4, intermediate_size=512,
            dropout=0.0, attention_dropout=0.0, embedding_dropout=0.0, positions="learned",
            max_position_embeddings=BLOCK, activation="gelu_tanh", tie_word_embeddings=True,
            pad_token_id=PAD, bos_token_id=EOS, eos_token_id=EOS,
        )  # fmt: skip
        return TransformerForCausalLM(config)
    if kind == "transformer":
        from nlpladder.models.transformer.encoder_decoder import TransformerForConditionalGeneration

        config = TransformerForConditionalGeneration.config_class(
            vocab_size=VOCABULARY, hidden_size=WIDTH, num_hidden_layers=LAYERS, num_decoder_layers=LAYERS,
            num_attention_heads=HEADS, intermediate_size=INNER, dropout=0.0, attention_dropout=0.0,
            embedding_dropout=0.0, activation="relu", pre_norm=False, tie_word_embeddings=True,
            tie_encoder_decoder_embeddings=True, decoder_start_token_id=BOS, **ids,
        )  # fmt: skip
        return TransformerForConditionalGeneration(config)
    from nlpladder.models.seq2seq.model import Seq2SeqForConditionalGeneration

    config = Seq2SeqForConditionalGeneration.config_class(
        vocab_size=VOCABULARY, embedding_size=RECURRENT_EMBEDDING, hidden_size=RECURRENT_WIDTH, cell="lstm",
        attention=kind, input_feeding=False, dropout=0.0, decoder_start_token_id=BOS, **ids,
    )  # fmt: skip
    return Seq2SeqForConditionalGeneration(config)


def compile_kernels() -> None:
    """There are no kernels to compile."""
