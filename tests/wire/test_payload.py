"""Bodies in chunks, signed and unsigned, whole and broken."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from hmac import digest
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wildsage.wire.errors import ApiError
from wildsage.wire.payload import forget_chunking, open_body
from wildsage.wire.request import HttpRequest
from wildsage.wire.sigv4 import EMPTY_SHA256, Signed, signing_key
from wildsage.wire.streams import RequestBody
from wire.helpers_wire import CREDENTIALS, KEY, SECRET

SEED = "0" * 64
STAMP, SCOPE = "20260101T000000Z", "20260101/us-east-1/s3/aws4_request"
SIGNING_KEY = signing_key(SECRET, "20260101", "us-east-1", "s3")
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = SIGNED + "-TRAILER"


def signed(payload: str) -> Signed:
    parts = (CREDENTIALS[KEY], "20260101", "us-east-1", "s3", STAMP, SEED)
    return Signed(*parts, SIGNING_KEY, payload)


def open_(data: bytes, payload: str, step: int = 7, **headers: str) -> RequestBody:
    """The body as it would come off a socket, a few bytes at a time."""
    pieces = [data[i : i + step] for i in range(0, len(data), step)] or [b""]

    async def receive() -> dict[str, Any]:
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return open_body(HttpRequest("PUT", "/b/k", "", named), signed(payload), receive)


def read(body: RequestBody) -> bytes:
    return asyncio.run(body.read())


class Signer:
    """Signs chunks as the clients do."""

    def __init__(self) -> None:
        self.previous = SEED

    def sign(self, kind: str, covered: str) -> str:
        text = f"{kind}\n{STAMP}\n{SCOPE}\n{self.previous}\n{covered}"
        self.previous = digest(SIGNING_KEY, text.encode(), "sha256").hex()
        return self.previous

    def chunks(self, parts: list[bytes]) -> Iterator[bytes]:
        for part in [*parts, b""]:
            hashed = f"{EMPTY_SHA256}\n{sha256(part).hexdigest()}"
            signature = self.sign("AWS4-HMAC-SHA256-PAYLOAD", hashed)
            head = f"{len(part):x};chunk-signature={signature}\r\n".encode()
            yield head + part + b"\r\n" if part else head

    def trailer(self, name: str, value: str) -> bytes:
        hashed = sha256(f"{name}:{value}\n".encode()).hexdigest()
        signature = self.sign("AWS4-HMAC-SHA256-TRAILER", hashed)
        return f"{name}:{value}\r\nx-amz-trailer-signature:{signature}\r\n\r\n".encode()


PARTS = [b"the first part", b"the second\r\n0\r\n part"]
WHOLE = b"".join(PARTS)
LENGTH = str(len(WHOLE))
CHECKSUM = b64encode(crc32(WHOLE).to_bytes(4, "big")).decode()


def test_signed_chunks() -> None:
    data = b"".join(Signer().chunks(PARTS)) + b"\r\n"
    body = open_(data, SIGNED, x_amz_decoded_content_length=LENGTH, content_length=str(len(data)))
    assert body.content_length == len(WHOLE)
    assert read(body) == WHOLE


def test_signed_chunks_with_a_signed_trailer() -> None:
    signer = Signer()
    data = b"".join(signer.chunks(PARTS)) + signer.trailer("x-amz-checksum-crc32", CHECKSUM)
    body = open_(
        data,
        SIGNED_TRAILER,
        x_amz_decoded_content_length=LENGTH,
        x_amz_trailer="x-amz-checksum-crc32",
    )
    assert (read(body), body.trailers) == (WHOLE, {"x-amz-checksum-crc32": CHECKSUM})


def unsigned_chunks(trailer: str = f"x-amz-checksum-crc32:{CHECKSUM}\r\n") -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in PARTS) + f"0\r\n{trailer}\r\n".encode()


@pytest.mark.parametrize("step", [1, 2, 5, 1000])
def test_unsigned_chunks_with_a_trailer(step: int) -> None:
    body = open_(unsigned_chunks(), UNSIGNED_TRAILER, step, x_amz_decoded_content_length=LENGTH)
    assert (read(body), body.trailers) == (WHOLE, {"x-amz-checksum-crc32": CHECKSUM})


def test_a_trailer_that_was_announced_must_come() -> None:
    body = open_(
        unsigned_chunks(""),
        UNSIGNED_TRAILER,
        x_amz_decoded_content_length=LENGTH,
        x_amz_trailer="x-amz-checksum-crc32",
    )
    with pytest.raises(ApiError, match="MalformedTrailerError"):
        read(body)


@pytest.mark.parametrize("position", range(0, 250, 9))
def test_a_changed_byte_is_noticed(position: int) -> None:
    signer = Signer()
    data = b"".join(signer.chunks(PARTS)) + signer.trailer("x-amz-checksum-crc32", CHECKSUM)
    assert position < len(data)
    forged = data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]
    body = open_(forged, SIGNED_TRAILER, x_amz_decoded_content_length=LENGTH)
    with pytest.raises(ApiError) as caught:
        read(body)
    assert caught.value.status in (400, 403)


@pytest.mark.parametrize("kept", [0, 10, 60, 200])
def test_a_cut_off_body_is_noticed(kept: int) -> None:
    data = b"".join(Signer().chunks(PARTS)) + b"\r\n"
    body = open_(data[:kept], SIGNED, x_amz_decoded_content_length=LENGTH)
    with pytest.raises(ApiError) as caught:
        read(body)
    assert caught.value.code in ("IncompleteBody", "SignatureDoesNotMatch")


@pytest.mark.parametrize("length", ["5", "500"])
def test_the_decoded_length_must_be_true(length: str) -> None:
    body = open_(unsigned_chunks(), UNSIGNED_TRAILER, x_amz_decoded_content_length=length)
    with pytest.raises(ApiError, match="IncompleteBody"):
        read(body)


def test_the_decoded_length_must_be_given() -> None:
    with pytest.raises(ApiError) as caught:
        open_(unsigned_chunks(), UNSIGNED_TRAILER)
    assert (caught.value.code, caught.value.status) == ("MissingContentLength", 411)


@settings(max_examples=150)
@given(st.binary(max_size=200), st.sampled_from([SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER]))
def test_garbage_is_an_error_of_the_client(data: bytes, payload: str) -> None:
    body = open_(data, payload, x_amz_decoded_content_length="100")
    with pytest.raises(ApiError) as caught:
        read(body)
    assert caught.value.status < 500


def test_a_plain_body_is_held_against_its_hash_and_length() -> None:
    hashed = sha256(b"body").hexdigest()
    assert read(open_(b"body", hashed, content_length="4")) == b"body"
    with pytest.raises(ApiError, match="XAmzContentSHA256Mismatch"):
        read(open_(b"ydob", hashed, content_length="4"))
    with pytest.raises(ApiError, match="IncompleteBody"):
        read(open_(b"bod", hashed, content_length="4"))
    assert read(open_(b"any", "UNSIGNED-PAYLOAD")) == b"any"


def test_a_client_that_leaves_is_an_error() -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    body = open_body(HttpRequest("PUT", "/", "", {}), signed("UNSIGNED-PAYLOAD"), receive)
    with pytest.raises(ApiError, match="IncompleteBody"):
        read(body)


@pytest.mark.parametrize("length", ["x", "-1", "1" * 30, "²"])
def test_nonsense_lengths(length: str) -> None:
    with pytest.raises(ApiError, match="InvalidArgument"):
        open_(b"", "UNSIGNED-PAYLOAD", content_length=length)


def test_unknown_streaming_marks_are_told_by_name() -> None:
    with pytest.raises(ApiError, match="STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD is not supported"):
        open_(b"", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD")


def test_headers_tell_of_the_decoded_body() -> None:
    headers = {
        "content-encoding": "aws-chunked, gzip",
        "content-length": "100",
        "x-amz-decoded-content-length": "50",
    }
    request = HttpRequest("PUT", "/", "", headers)
    forget_chunking(request)
    assert request.headers["content-encoding"] == "gzip"
    assert request.headers["content-length"] == "50"
    request = HttpRequest("PUT", "/", "", {"content-encoding": "aws-chunked"})
    forget_chunking(request)
    assert "content-encoding" not in request.headers
