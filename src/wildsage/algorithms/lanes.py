"""Sixteen float32 values at a time, for kernels over rows of a few dozen values.

    total = zeros()
    total += load(flat, place, left) * weight
    store(flat, place, left, total)

The compiler makes vectors of a loop over a row only where it is long: with AVX2 or AVX-512 it takes
32 values per turn, and rows of 16 run value by value. Here a vector is said to be one. Rows need no
padding: `left` says how many values are left from `place` on; lanes beyond are read as zero and not
written. LLVM splits the sixteen into what the machine has.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped, unused-ignore]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model
from numpy.typing import NDArray

WIDTH = 16
_variable: Any = cgutils.alloca_once
_function: Any = cgutils.get_or_insert_function
_FLOAT, _WORD, _BIT = ir.FloatType(), ir.IntType(32), ir.IntType(1)
_VECTOR, _MASK = ir.VectorType(_FLOAT, WIDTH), ir.VectorType(_BIT, WIDTH)


class _Lanes(types.Type):  # type: ignore[misc, unused-ignore]
    """The kind that the compiler knows a vector by."""


LANES: Any = _Lanes("Lanes")


@register_model(_Lanes)
class _Model(models.PrimitiveModel):  # type: ignore[misc, unused-ignore]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)  # type: ignore[no-untyped-call, unused-ignore]


def aligned_zeros(*shape: int) -> NDArray[np.float32]:
    """Zeros that begin with a cache line, so that a row of 16 values lies in one."""
    size = int(np.prod(shape))
    room = np.zeros(size + WIDTH, np.float32)
    begin = -room.ctypes.data % 64 // 4
    return room[begin : begin + size].reshape(shape)


# --- reading and writing -------------------------------------------------------------------------


def _place(context: Any, builder: Any, signature: Any, arguments: Any) -> tuple[Any, Any, Any]:
    """Of an array and a position: the address; and the mask of the lanes that are there."""
    values = context.make_array(signature.args[0])(context, builder, arguments[0])
    address = builder.bitcast(builder.gep(values.data, [arguments[1]]), _VECTOR.as_pointer())
    left = builder.trunc(arguments[2], _WORD)
    numbers = ir.Constant(ir.VectorType(_WORD, WIDTH), list(range(WIDTH)))
    return address, left, builder.icmp_signed("<", numbers, _splat(builder, left))


def _splat(builder: Any, value: Any) -> Any:
    kind = ir.VectorType(value.type, WIDTH)
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), value, _WORD(0))
    order = ir.Constant(ir.VectorType(_WORD, WIDTH), [0] * WIDTH)
    return builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), order)


def _whole(builder: Any, left: Any) -> Any:
    return builder.icmp_signed(">=", left, _WORD(WIDTH))


def _load(typing_context: Any, array: Any, position: Any, left: Any) -> Any:

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address, left, mask = _place(context, builder, signature, arguments)
        found = _variable(builder, _VECTOR)
        with builder.if_else(_whole(builder, left)) as (whole, part):
            with whole:
                builder.store(builder.load(address, align=4), found)
            with part:
                kinds = [_VECTOR.as_pointer(), _WORD, _MASK, _VECTOR]
                kind = ir.FunctionType(_VECTOR, kinds)
                name = "llvm.masked.load.v16f32.p0"
                function = _function(builder.module, kind, name)
                zeros = ir.Constant(_VECTOR, [0.0] * WIDTH)
                builder.store(builder.call(function, [address, _WORD(4), mask, zeros]), found)
        return builder.load(found)

    return LANES(array, types.intp, types.intp), generate


def _store(typing_context: Any, array: Any, position: Any, left: Any, value: Any) -> Any:

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address, left, mask = _place(context, builder, signature, arguments)
        with builder.if_else(_whole(builder, left)) as (whole, part):
            with whole:
                builder.store(arguments[3], address, align=4)
            with part:
                kinds = [_VECTOR, _VECTOR.as_pointer(), _WORD, _MASK]
                kind = ir.FunctionType(ir.VoidType(), kinds)
                name = "llvm.masked.store.v16f32.p0"
                function = _function(builder.module, kind, name)
                builder.call(function, [arguments[3], address, _WORD(4), mask])
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, LANES), generate


# load(flat, place, left), store(flat, place, left, value): from a place of a flat array on.
load: Any = intrinsic(_load)
store: Any = intrinsic(_store)


# --- arithmetic ----------------------------------------------------------------------------------


def _zeros(typing_context: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(_VECTOR, [0.0] * WIDTH)

    return LANES(), generate


def _every(typing_context: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _splat(builder, arguments[0])

    return LANES(types.float32), generate


def _built_in(name: str, result: Any, *given: Any) -> Any:
    """LLVM's function of that name."""

    def typed(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(
            context.get_value_type(result), [context.get_value_type(kind) for kind in given]
        )
        function = _function(builder.module, kind, name)
        return builder.call(function, arguments)

    return result(*given), typed


zeros: Any = intrinsic(_zeros)
every: Any = intrinsic(_every)  # a number in every lane


def _root(typing_context: Any, value: Any) -> Any:
    return _built_in("llvm.sqrt.v16f32", LANES, LANES)


def _smaller(typing_context: Any, one: Any, other: Any) -> Any:
    return _built_in("llvm.minnum.v16f32", LANES, LANES, LANES)


def _larger(typing_context: Any, one: Any, other: Any) -> Any:
    return _built_in("llvm.maxnum.v16f32", LANES, LANES, LANES)


def _sum(typing_context: Any, start: Any, value: Any) -> Any:
    return _built_in("llvm.vector.reduce.fadd.v16f32", types.float32, types.float32, LANES)


# Of each lane: the square root, the smaller and the larger of two.
root: Any = intrinsic(_root)
smaller: Any = intrinsic(_smaller)
larger: Any = intrinsic(_larger)
_add_up: Any = intrinsic(_sum)


def _operation(instruction: str) -> Callable[..., Any]:
    def operation(typing_context: Any, one: Any, other: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return getattr(builder, instruction)(*arguments)

        return LANES(LANES, LANES), generate

    return intrinsic(operation)  # type: ignore[no-any-return, unused-ignore]


def _overload(instruction: str, *symbols: Any) -> None:
    """An operator between lanes, or lanes and a number."""
    apply = _operation(instruction)

    def operate(one: Any, other: Any) -> Any:
        if isinstance(one, _Lanes) and isinstance(other, _Lanes):
            return lambda one, other: apply(one, other)
        if isinstance(one, _Lanes) and other == types.float32:
            return lambda one, other: apply(one, every(other))
        if one == types.float32 and isinstance(other, _Lanes):
            return lambda one, other: apply(every(one), other)
        return None

    for symbol in symbols:
        overload(symbol, strict=False)(operate)


_overload("fadd", operator.add, operator.iadd)
_overload("fsub", operator.sub, operator.isub)
_overload("fmul", operator.mul, operator.imul)
_overload("fdiv", operator.truediv)


def total(value: Any) -> Any:
    """The sum of the lanes."""


@overload(total, strict=False)  # type: ignore[untyped-decorator, unused-ignore]
def _total(value: Any) -> Any:
    return lambda value: _add_up(np.float32(0), value)
