"""Checksums as requests declare them: in headers, in trailers, by algorithm; and Content-MD5."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wildsage.services.platform import Ctx
from wildsage.services.s3.errors import invalid_request, not_implemented
from wildsage.store.objects.checksums import ALGORITHMS, is_well_formed
from wildsage.store.objects.types import StoredObject
from wildsage.wire.errors import ApiError

_UNSUPPORTED = ("SHA512", "MD5", "XXHASH64", "XXHASH3", "XXHASH128")
_HEADER = "x-amz-checksum-"


@dataclass(frozen=True, slots=True)
class Declared:
    """What the body must turn out to be. `trailing`: the value comes after the body."""

    md5: str | None
    checksums: dict[str, str]
    algorithms: tuple[str, ...]
    trailing: bool

    def complete(self, trailers: Mapping[str, str]) -> dict[str, str]:
        """The declared checksums, once the trailers are there."""
        if not self.trailing:
            return self.checksums
        found = {
            algorithm: trailers[_HEADER + algorithm.lower()].strip()
            for algorithm in self.algorithms
            if _HEADER + algorithm.lower() in trailers
        }
        if len(found) != len(self.algorithms):
            raise ApiError(
                "MalformedTrailerError",
                "The request contained trailing data that was not well-formed or did not conform "
                "to our published schema.",
            )
        for algorithm, value in found.items():
            _check(algorithm, value)
        return found


def declared(ctx: Ctx, request: Mapping[str, Any]) -> Declared:
    checksums = checksum_members(request)
    for algorithm, value in checksums.items():
        _check(algorithm, value)
    trailing = _trailing(ctx)
    algorithms = {*checksums, *trailing}
    if len(algorithms) > 1:
        text = "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        raise invalid_request(text)
    named = request.get("ChecksumAlgorithm")
    if named and named not in algorithms:
        check_algorithm(named)
        raise invalid_request(
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or "
            "x-amz-trailer headers were found."
        )
    return Declared(_md5(request), checksums, tuple(algorithms), bool(trailing))


def checksum_members(members: Mapping[str, Any]) -> dict[str, str]:
    """`{"CRC32": value}` from the members of a request, or of a part in a list."""
    for algorithm in _UNSUPPORTED:
        if members.get(f"Checksum{algorithm}"):
            raise not_implemented(_HEADER + algorithm.lower())
    named = {algorithm: members.get(f"Checksum{algorithm}") for algorithm in ALGORITHMS}
    return {algorithm: value for algorithm, value in named.items() if value}


def check_algorithm(algorithm: str) -> str:
    if algorithm in _UNSUPPORTED:
        raise not_implemented(f"checksum algorithm {algorithm}")
    if algorithm not in ALGORITHMS:
        raise invalid_request(
            "Checksum algorithm provided is unsupported. Please try again with any of the valid "
            f"types: [{', '.join(ALGORITHMS)}]"
        )
    return algorithm


def output_members(checksums: Mapping[str, str], kind: str | None) -> dict[str, str]:
    """The members of an answer."""
    output = {f"Checksum{algorithm}": value for algorithm, value in checksums.items()}
    if output and kind:
        output["ChecksumType"] = kind
    return output


def of_object(stored: StoredObject) -> dict[str, str]:
    return output_members(stored.checksums, stored.checksum_type)


def _trailing(ctx: Ctx) -> list[str]:
    names = [name.strip().lower() for name in ctx.headers.get("x-amz-trailer", "").split(",")]
    wanted = [n.removeprefix(_HEADER).upper() for n in names if n.startswith(_HEADER)]
    return [check_algorithm(algorithm) for algorithm in wanted]


def _check(algorithm: str, value: str) -> None:
    if not is_well_formed(algorithm, value):
        raise invalid_request(f"Value for {_HEADER}{algorithm.lower()} header is invalid.")


def _md5(request: Mapping[str, Any]) -> str | None:
    """Content-MD5 in hexadecimal."""
    text = request.get("ContentMD5")
    if text is None:
        return None
    try:
        digest = base64.b64decode(text, validate=True)
    except ValueError:
        digest = b""
    if len(digest) != 16:
        fields = {"Content-MD5": text}
        raise ApiError("InvalidDigest", "The Content-MD5 you specified was invalid.", fields=fields)
    return digest.hex()
