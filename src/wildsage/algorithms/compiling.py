"""Compiling kernels with numba, which comes with the extra `algorithms`.

Modules with kernels are imported when a job begins to train, never with a declaration. Compiled
code is cached beside the source or in the user's cache; where neither can be written it is compiled
anew in every process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from wildsage.contract.failure import ClientError

try:
    from llvmlite import ir  # type: ignore[import-untyped, unused-ignore]
    from numba import njit, types
    from numba.extending import intrinsic
except ImportError as error:
    raise ClientError(
        "This algorithm needs numba. Install it by `pip install wildsage[algorithms]`.",
        caused_by=error,
    ) from error

Function = TypeVar("Function", bound=Callable[..., Any])

# All of LLVM's liberties but those that take NaN and infinity for impossible.
_MATHS = {"reassoc", "contract", "arcp", "nsz", "afn"}


def compiled(function: Function) -> Function:
    """`function` as machine code; it runs without the interpreter's lock."""
    return _compiled(function, {})


def inlined(function: Function) -> Function:
    """The same for the inside of a loop: a part of each function that calls it.

    A call hands over every array as seven numbers, and may count who holds it; LLVM inlines small
    functions unasked, but not ones with loops of their own.
    """
    return _compiled(function, {"forceinline": True})


def _compiled(function: Function, more: dict[str, Any]) -> Function:
    options = {"nogil": True, "fastmath": _MATHS, "error_model": "numpy", **more}
    try:
        return cast("Function", njit(cache=True, **options)(function))
    except RuntimeError:  # there is no folder that the compiled code could be kept in
        return cast("Function", njit(**options)(function))


def _prefetch(typing_context: Any, array: Any, position: Any) -> Any:

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values = context.make_array(signature.args[0])(context, builder, arguments[0])
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        address = builder.bitcast(builder.gep(values.data, [arguments[1]]), byte)
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        function = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        builder.call(function, [address, word(1), word(3), word(1)])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


# prefetch(array, position): ask for the cache line of a one-dimensional, contiguous array that
# `position` lies in, to write it. Tables that are read at random wait for memory at each row; asked
# for a few rows ahead, they do not.
prefetch: Any = intrinsic(_prefetch)
