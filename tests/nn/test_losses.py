from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from nlpladder.nn.losses import sequence_loss, token_loss


def logits_and_labels(problem_type):
    torch.manual_seed(0)
    logits = torch.randn(12, 1 if problem_type == "regression" else 4)
    if problem_type == "single_label_classification":
        return logits, torch.randint(0, 4, (12,))
    if problem_type == "multi_label_classification":
        return logits, torch.randint(0, 2, (12, 4)).float()
    return logits, torch.randn(12)


@pytest.mark.parametrize("problem_type", ["single_label_classification", "multi_label_classification", "regression"])
def test_without_a_count_it_is_the_mean_that_torch_computes(problem_type):
    logits, labels = logits_and_labels(problem_type)
    reference = {
        "single_label_classification": lambda: F.cross_entropy(logits, labels),
        "multi_label_classification": lambda: F.binary_cross_entropy_with_logits(logits, labels),
        "regression": lambda: F.mse_loss(logits.squeeze(-1), labels),
    }[problem_type]()
    torch.testing.assert_close(sequence_loss(logits, labels, problem_type=problem_type), reference)


@pytest.mark.parametrize("problem_type", ["single_label_classification", "multi_label_classification", "regression"])
@pytest.mark.parametrize("cuts", [(6,), (1, 2, 9), (5, 11)])
def test_parts_of_a_batch_add_up_to_the_batch(problem_type, cuts):
    logits, labels = logits_and_labels(problem_type)
    whole = sequence_loss(logits, labels, problem_type=problem_type)
    pairs = zip(logits.tensor_split(cuts), labels.tensor_split(cuts), strict=True)
    parts = [sequence_loss(part, own, problem_type=problem_type, num_items=labels.numel()) for part, own in pairs]
    torch.testing.assert_close(sum(parts), whole)


def test_tokens_without_a_label_do_not_count():
    torch.manual_seed(0)
    logits, labels = torch.randn(3, 5, 7), torch.randint(0, 7, (3, 5))
    labels[0, 2:] = -100
    labels[2] = -100
    expected = F.cross_entropy(logits.view(-1, 7), labels.view(-1), ignore_index=-100)
    torch.testing.assert_close(token_loss(logits, labels), expected)
    count = labels.ne(-100).sum()
    rows = [token_loss(logits[row : row + 1], labels[row : row + 1], num_items=count) for row in range(3)]
    torch.testing.assert_close(sum(rows), expected)


def test_a_batch_without_any_label_has_loss_zero():
    loss = token_loss(torch.randn(2, 3, 4), torch.full((2, 3), -100))
    assert loss.item() == 0.0


def test_label_smoothing_is_that_of_torch():
    logits, labels = logits_and_labels("single_label_classification")
    smoothed = sequence_loss(logits, labels, problem_type="single_label_classification", label_smoothing=0.1)
    torch.testing.assert_close(smoothed, F.cross_entropy(logits, labels, label_smoothing=0.1))
