"""Run by torchrun: gathers predictions over the processes, and writes the metrics that the first one sees."""

import json
import sys

import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

from nlpladder.evaluation.intervals import score_predictions
from nlpladder.evaluation.metrics import compute_metrics, load_metric


def main(source: str, target: str) -> None:
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    data = np.load(source)
    examples = TensorDataset(torch.tensor(data["labels"]), torch.tensor(data["probabilities"]))
    loader = accelerator.prepare(DataLoader(examples, batch_size=8))
    labels, probabilities, seen = [], [], 0
    for batch_labels, batch_probabilities in loader:
        seen += len(batch_labels)
        gathered = accelerator.gather_for_metrics((batch_labels, batch_probabilities))
        labels.append(gathered[0].numpy())
        probabilities.append(gathered[1].numpy())
    truth, scores = np.concatenate(labels), np.concatenate(probabilities)
    metric = load_metric("f1_macro").compute(references=truth, predictions=scores)
    if accelerator.is_main_process:
        result = {
            "world_size": accelerator.num_processes,
            "seen_here": seen,
            "examples": len(truth),
            "metrics": compute_metrics(truth, scores),
            "evaluate": metric["f1_macro"],
            "accuracy": score_predictions(truth, scores, resamples=200)["accuracy"].to_dict(),
        }
        with open(target, "w", encoding="utf-8") as handle:
            json.dump(result, handle)
    accelerator.end_training()


if __name__ == "__main__":
    main(*sys.argv[1:])
