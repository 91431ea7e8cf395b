"""Turning the shapes of a model into functions, once per shape instead of once per request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeAlias, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
Shape: TypeAlias = Any  # botocore's; it has no types of its own


class Compiler(Generic[F]):
    """Makes the function of a shape, from the functions of the shapes inside it.

    `makers` says how, by type. A shape that contains itself meets a stand-in, which looks the
    finished function up when it is called. Names of shapes are a service's own, so a compiler
    serves one service.
    """

    def __init__(self, makers: Makers[F]) -> None:
        self._makers = makers
        self._made: dict[tuple[str, str], F] = {}

    def __call__(self, shape: Shape) -> F:
        key = (shape.name, repr(shape.serialization))
        made = self._made.get(key)
        if made is None:
            self._made[key] = self._stand_in(key)
            made = self._made[key] = self._makers[shape.type_name](self, shape)
        return made

    def _stand_in(self, key: tuple[str, str]) -> F:
        def later(*arguments: Any) -> Any:
            return self._made[key](*arguments)

        return later  # type: ignore[return-value]


Makers: TypeAlias = Mapping[str, Callable[[Compiler[F], Shape], F]]


def constant(function: F) -> Callable[[Compiler[F], Shape], F]:
    """The maker of a type that needs nothing from its shape."""
    return lambda compiler, shape: function


def wire_name(member: Shape, name: str) -> str:
    """What a member is called on the wire."""
    return str(member.serialization.get("name", name))


def list_or_wire_name(member: Shape, name: str) -> str:
    """The same, but a flattened list goes by the name of its items, where they have one."""
    if member.type_name == "list" and member.serialization.get("flattened"):
        return wire_name(member.member, wire_name(member, name))
    return wire_name(member, name)
