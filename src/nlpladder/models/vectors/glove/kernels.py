r"""The kernels of GloVe's training: stochastic gradient steps over the co-occurrences of one block of rows and columns.

For each co-occurrence of words i and j (Pennington, Socher & Manning 2014, equations 8 and 9), one step on

.. math:: J_{ij} = f(X_{ij}) (w_i^T \tilde w_j + b_i + \tilde b_j - \log X_{ij})^2 / 2, \quad
    f(x) = \min(1, (x / x_{max})^\alpha)

A kernel is made for one width of the rows, so that its loops are unrolled into vector instructions.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numba as nb
import numpy as np

#: Sums may be reordered and roots approximated to float32's accuracy; that NaN and infinity never occur is not assumed,
#: because they are looked for.
FAST_MATH = {"reassoc", "contract", "arcp", "nsz", "afn"}
#: A weighted error from here on is no number to learn from.
LARGEST_ERROR = np.float32(1e30)


@nb.njit(cache=True, nogil=True, fastmath=FAST_MATH, error_model="numpy")
def weight_and_log(value: Any, log_x_max: Any, alpha: Any) -> tuple[Any, Any]:
    """Return the weight f(x) of a count (equation 9) and the count's logarithm."""
    log_value = np.log(value)
    if log_value < log_x_max:
        return np.exp(alpha * (log_value - log_x_max)), log_value
    return np.float32(1.0), log_value


@cache
def adagrad_kernel(width: int) -> Any:
    """Return `update_block` of per-coordinate AdaGrad (Duchi et al. 2011) for rows of `width` numbers.

    Its arguments, the last four float32:

    * rows, columns, values, begin, end: the records, and which of them to use;
    * word_vectors, context_vectors: shape (words, width), zeros after the vector;
    * word_squares, context_squares: 1 + the sum of squared steps of each number, shape (words, width);
    * word_biases, context_biases: bias and 1 + the sum of its squared steps, shape (words, 2);
    * learning_rate, x_max, alpha, clip.

    It returns the cost of the records before their updates, and the number of records that were skipped because their
    error was no finite number. As in the Stanford program the learning rate does not scale the steps of the biases.
    """

    @nb.njit(cache=True, nogil=True, fastmath=FAST_MATH, error_model="numpy")
    def update_block(
        rows: Any,
        columns: Any,
        values: Any,
        begin: int,
        end: int,
        word_vectors: Any,
        context_vectors: Any,
        word_squares: Any,
        context_squares: Any,
        word_biases: Any,
        context_biases: Any,
        learning_rate: Any,
        x_max: Any,
        alpha: Any,
        clip: Any,
    ) -> tuple[float, int]:
        cost = 0.0
        skipped = 0
        log_x_max = np.log(x_max)
        for record in range(begin, end):
            i = rows[record]
            j = columns[record]
            word = word_vectors[i]
            context = context_vectors[j]
            word_square = word_squares[i]
            context_square = context_squares[j]
            weight, log_value = weight_and_log(values[record], log_x_max, alpha)
            product = np.float32(0.0)
            for d in range(width):
                product += word[d] * context[d]
            error = product + word_biases[i, 0] + context_biases[j, 0] - log_value
            weighted = weight * error
            if not abs(weighted) < LARGEST_ERROR:
                skipped += 1
                continue
            cost += 0.5 * np.float64(weighted) * np.float64(error)
            for d in range(width):
                word_step = min(max(weighted * context[d], -clip), clip) * learning_rate
                context_step = min(max(weighted * word[d], -clip), clip) * learning_rate
                word[d] -= word_step / np.sqrt(word_square[d])
                context[d] -= context_step / np.sqrt(context_square[d])
                word_square[d] += word_step * word_step
                context_square[d] += context_step * context_step
            word_biases[i, 0] -= weighted / np.sqrt(word_biases[i, 1])
            context_biases[j, 0] -= weighted / np.sqrt(context_biases[j, 1])
            word_biases[i, 1] += weighted * weighted
            context_biases[j, 1] += weighted * weighted
        return cost, skipped

    return update_block


@cache
def row_adagrad_kernel(width: int, vector_size: int) -> Any:
    """Return `update_block` of row-wise AdaGrad: one sum of squares, the mean over its numbers, for each vector.

    It is called as that of `adagrad_kernel`, but word_squares and context_squares have shape (words, 1).
    """

    @nb.njit(cache=True, nogil=True, fastmath=FAST_MATH, error_model="numpy")
    def update_block(
        rows: Any,
        columns: Any,
        values: Any,
        begin: int,
        end: int,
        word_vectors: Any,
        context_vectors: Any,
        word_squares: Any,
        context_squares: Any,
        word_biases: Any,
        context_biases: Any,
        learning_rate: Any,
        x_max: Any,
        alpha: Any,
        clip: Any,
    ) -> tuple[float, int]:
        cost = 0.0
        skipped = 0
        log_x_max = np.log(x_max)
        for record in range(begin, end):
            i = rows[record]
            j = columns[record]
            word = word_vectors[i]
            context = context_vectors[j]
            weight, log_value = weight_and_log(values[record], log_x_max, alpha)
            product = np.float32(0.0)
            for d in range(width):
                product += word[d] * context[d]
            error = product + word_biases[i, 0] + context_biases[j, 0] - log_value
            weighted = weight * error
            if not abs(weighted) < LARGEST_ERROR:
                skipped += 1
                continue
            cost += 0.5 * np.float64(weighted) * np.float64(error)
            word_rate = np.float32(1.0) / np.sqrt(word_squares[i, 0])
            context_rate = np.float32(1.0) / np.sqrt(context_squares[j, 0])
            word_sum = np.float32(0.0)
            context_sum = np.float32(0.0)
            for d in range(width):
                word_step = min(max(weighted * context[d], -clip), clip) * learning_rate
                context_step = min(max(weighted * word[d], -clip), clip) * learning_rate
                word[d] -= word_step * word_rate
                context[d] -= context_step * context_rate
                word_sum += word_step * word_step
                context_sum += context_step * context_step
            word_squares[i, 0] += word_sum / np.float32(vector_size)
            context_squares[j, 0] += context_sum / np.float32(vector_size)
            word_biases[i, 0] -= weighted / np.sqrt(word_biases[i, 1])
            context_biases[j, 0] -= weighted / np.sqrt(context_biases[j, 1])
            word_biases[i, 1] += weighted * weighted
            context_biases[j, 1] += weighted * weighted
        return cost, skipped

    return update_block
