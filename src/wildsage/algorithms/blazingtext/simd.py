"""Arithmetic on rows of matrices for compiled kernels, 16 floats at a time.

A row is given by its address; its length is a multiple of `LANES` floats, which `blocks` counts.
What is written here in LLVM's terms a compiler would otherwise do only behind checks whether rows
overlap, at every row: for vectors of a hundred numbers they cost more than the arithmetic. Rows
and factors come as tuples, so that one definition serves every number of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

import wildsage.algorithms.compiling  # noqa: F401  It tells how to install what follows.

# isort: split
from numba import types
from numba.extending import intrinsic

ir: Any = import_module("llvmlite.ir")
LANES = 16
LINE = 4 * LANES  # the bytes of a cache line
row_operation: Any = intrinsic
_FLOAT, _WORD, _LONG = ir.FloatType(), ir.IntType(32), ir.IntType(64)
_LANES = ir.VectorType(_FLOAT, LANES)
_ZERO = ir.Constant(_LANES, [0.0] * LANES)


def padded(width: int) -> int:
    """The floats in a row of `width` numbers."""
    return -(-width // LANES) * LANES


def padded_zeros(rows: int, width: int) -> np.ndarray:
    """A matrix of rows as the kernels want them; `[:, :width]` are its numbers.

    Rows begin where cache lines do: 16 floats that lie in two lines take twice as long.
    """
    count = rows * padded(width)
    space = np.zeros(count + LANES, np.float32)
    first = -space.ctypes.data % LINE // space.itemsize
    return space[first : first + count].reshape(rows, padded(width))


@row_operation  # type: ignore[untyped-decorator]
def dot_products(context: Any, lefts: Any, rights: Any, blocks: Any) -> Any:
    """The dot product of every left row with every right row, as a flat tuple."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        left, right = (_unpack(builder, argument) for argument in arguments[:2])
        sums = [builder.alloca(_LANES) for _ in range(len(left) * len(right))]
        for total in sums:
            builder.store(_ZERO, total)

        def step(offset: Any) -> None:
            ones = [_load(builder, row, offset) for row in left]
            others = [_load(builder, row, offset) for row in right]
            for number, total in enumerate(sums):
                one, other = ones[number // len(right)], others[number % len(right)]
                builder.store(_multiply_add(builder, one, other, builder.load(total)), total)

        _repeat(builder, arguments[2], step)
        added = [_sum(builder, builder.load(total)) for total in sums]
        return context.make_tuple(builder, signature.return_type, added)

    result: Any = types.UniTuple(types.float32, len(lefts) * len(rights))  # type: ignore[no-untyped-call]
    return result(lefts, rights, types.int64), generate


@row_operation  # type: ignore[untyped-decorator]
def add_scaled(context: Any, target: Any, rows: Any, factors: Any, blocks: Any) -> Any:
    """Add each row times its factor to the target row."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        sources, numbers = (_unpack(builder, argument) for argument in arguments[1:3])
        scales = [_spread(builder, number) for number in numbers]

        def step(offset: Any) -> None:
            value = _load(builder, arguments[0], offset)
            for source, scale in zip(sources, scales, strict=True):
                value = _multiply_add(builder, _load(builder, source, offset), scale, value)
            _store(builder, value, arguments[0], offset)

        _repeat(builder, arguments[3], step)
        return context.get_dummy_value()

    return types.void(types.int64, rows, factors, types.int64), generate


@row_operation  # type: ignore[untyped-decorator]
def add_to_rows(context: Any, rows: Any, source: Any, blocks: Any) -> Any:
    """Add the source row to each of the rows."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        targets = _unpack(builder, arguments[0])

        def step(offset: Any) -> None:
            added = _load(builder, arguments[1], offset)
            for target in targets:
                value = builder.fadd(_load(builder, target, offset), added)
                _store(builder, value, target, offset)

        _repeat(builder, arguments[2], step)
        return context.get_dummy_value()

    return types.void(rows, types.int64, types.int64), generate


@row_operation  # type: ignore[untyped-decorator]
def exchange(context: Any, one: Any, sums: Any, rows: Any, factors: Any, blocks: Any) -> Any:
    """Add each row times its factor to `sums`, and `one` times that factor to the row."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        others, numbers = (_unpack(builder, argument) for argument in arguments[2:4])
        scales = [_spread(builder, number) for number in numbers]

        def step(offset: Any) -> None:
            fixed = _load(builder, arguments[0], offset)
            total = _load(builder, arguments[1], offset)
            for other, scale in zip(others, scales, strict=True):
                value = _load(builder, other, offset)
                total = _multiply_add(builder, value, scale, total)
                _store(builder, _multiply_add(builder, fixed, scale, value), other, offset)
            _store(builder, total, arguments[1], offset)

        _repeat(builder, arguments[4], step)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, rows, factors, types.int64), generate


@row_operation  # type: ignore[untyped-decorator]
def copy_row(context: Any, target: Any, source: Any, blocks: Any) -> Any:
    """Overwrite the target row by the source row."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def step(offset: Any) -> None:
            _store(builder, _load(builder, arguments[1], offset), arguments[0], offset)

        _repeat(builder, arguments[2], step)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


@row_operation  # type: ignore[untyped-decorator]
def clear_row(context: Any, target: Any, blocks: Any) -> Any:
    """Fill the row with zeros."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _repeat(builder, arguments[1], lambda offset: _store(builder, _ZERO, arguments[0], offset))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@row_operation  # type: ignore[untyped-decorator]
def prefetch_row(context: Any, target: Any, blocks: Any) -> Any:
    """Ask for the row: it is in the cache when it is needed a few rows later."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, _WORD, _WORD, _WORD])
        function = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)

        def step(offset: Any) -> None:
            address = builder.inttoptr(builder.add(arguments[0], offset), byte)
            builder.call(function, [address, _WORD(1), _WORD(3), _WORD(1)])

        _repeat(builder, arguments[1], step)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


# --- LLVM ----------------------------------------------------------------------------------------


def _repeat(builder: Any, blocks: Any, step: Any) -> None:
    """Call `step` with the offset in bytes of each block."""
    counter = builder.alloca(_LONG)
    builder.store(_LONG(0), counter)
    head, body, end = (builder.append_basic_block(name) for name in ("head", "body", "end"))
    builder.branch(head)
    builder.position_at_end(head)
    number = builder.load(counter)
    builder.cbranch(builder.icmp_signed("<", number, blocks), body, end)
    builder.position_at_end(body)
    step(builder.mul(number, _LONG(4 * LANES)))
    builder.store(builder.add(number, _LONG(1)), counter)
    builder.branch(head)
    builder.position_at_end(end)


def _unpack(builder: Any, values: Any) -> list[Any]:
    return [builder.extract_value(values, i) for i in range(values.type.count)]


def _address(builder: Any, row: Any, offset: Any) -> Any:
    return builder.inttoptr(builder.add(row, offset), _LANES.as_pointer())


def _load(builder: Any, row: Any, offset: Any) -> Any:
    value = builder.load(_address(builder, row, offset))
    value.align = 4
    return value


def _store(builder: Any, value: Any, row: Any, offset: Any) -> None:
    builder.store(value, _address(builder, row, offset)).align = 4


def _function(builder: Any, name: str, result: Any, arguments: list[Any]) -> Any:
    known = builder.module.globals.get(name)
    kind = ir.FunctionType(result, arguments)
    return known or ir.Function(builder.module, kind, name)


def _multiply_add(builder: Any, left: Any, right: Any, added: Any) -> Any:
    function = _function(builder, f"llvm.fmuladd.v{LANES}f32", _LANES, [_LANES] * 3)
    return builder.call(function, [left, right, added])


def _sum(builder: Any, value: Any) -> Any:
    name = f"llvm.vector.reduce.fadd.v{LANES}f32"
    function = _function(builder, name, _FLOAT, [_FLOAT, _LANES])
    return builder.call(function, [_FLOAT(0.0), value], fastmath=("reassoc",))


def _spread(builder: Any, number: Any) -> Any:
    """All lanes the same number."""
    none = ir.Constant(_LANES, ir.Undefined)
    first = builder.insert_element(none, number, _WORD(0))
    zeros = ir.Constant(ir.VectorType(_WORD, LANES), [0] * LANES)
    return builder.shuffle_vector(first, none, zeros)
