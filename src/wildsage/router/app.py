"""The branch of the ASGI application that answers invocations; everything else goes to `inner`.

    POST /endpoints/NAME/invocations                    one request, one answer
    POST /endpoints/NAME/invocations-response-stream    the answer as an event stream
    POST /endpoints/NAME/async-invocations              not built yet: 501

One invocation: read the body, verify the signature, find the route, choose a variant and a model
server, pass the request on, pass the answer back. No framework, no database, no thread.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, TypeVar

from wildsage import clock, ids
from wildsage.arns import Scope
from wildsage.router import errors, eventstream
from wildsage.router.client import Answer, Lost, Pool, Stream, TimedOut, Unreachable
from wildsage.router.meter import Meter
from wildsage.router.table import Route, RouteTable, Target, Variant
from wildsage.wire.context import CredentialLookup
from wildsage.wire.errors import ApiError, in_dialect, internal_failure, not_implemented
from wildsage.wire.request import HttpRequest
from wildsage.wire.sigv4 import verify_request

log = logging.getLogger(__name__)

AsgiScope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[AsgiScope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
T = TypeVar("T", Answer, Stream)

# AWS gives a model a minute to answer.
MODEL_SECONDS = 60.0
# How long an invocation waits for a model server to come (back) before it fails.
RECOVERY_SECONDS = 5.0
_RETRY_SECONDS = 0.05
_PATH = re.compile(
    r"/endpoints/([^/]+)/(invocations|invocations-response-stream|async-invocations)"
)
_OPERATIONS = {
    "invocations": "InvokeEndpoint",
    "invocations-response-stream": "InvokeEndpointWithResponseStream",
    "async-invocations": "InvokeEndpointAsync",
}
# What the model server is told of the request's headers.
_PASSED_ON = (
    "content-type",
    "accept",
    "x-amzn-sagemaker-custom-attributes",
    "x-amzn-sagemaker-target-model",
    "x-amzn-sagemaker-inference-id",
    "x-amzn-sagemaker-session-id",
)
# What the client is told of the answer's.
_PASSED_BACK = (
    b"x-amzn-sagemaker-custom-attributes",
    b"x-amzn-sagemaker-new-session-id",
    b"x-amzn-sagemaker-closed-session-id",
)


class _Disconnected(Exception):
    """The client went away before it had sent its request."""


@dataclass(slots=True)
class _Invocation:
    """One invocation on its way."""

    request: HttpRequest
    endpoint: str
    streams: bool
    body: bytes
    scope: Scope
    request_id: str
    variant: str = ""
    started: float = field(default_factory=clock.monotonic)
    answered: float = 0.0
    model_seconds: float = 0.0
    status: int = 0

    def head(self) -> bytes:
        """The request's head as the model server gets it."""
        headers = self.request.headers
        lines = ["POST /invocations HTTP/1.1\r\nhost: model"]
        for name in _PASSED_ON:
            value = headers.get(name)
            if value is not None:
                lines.append(f"{name}: {value}")
        if self.streams and "x-amzn-sagemaker-accept" in headers:
            lines.append(f"accept: {headers['x-amzn-sagemaker-accept']}")
        lines.append(f"content-length: {len(self.body)}\r\n\r\n")
        return "\r\n".join(lines).encode("latin-1")


@dataclass
class Router:
    """Passes invocations on to the model servers of `table`."""

    inner: App
    table: RouteTable
    credentials: CredentialLookup
    meter: Meter = field(default_factory=Meter)
    model_seconds: float = MODEL_SECONDS
    recovery_seconds: float = RECOVERY_SECONDS

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        if _may_invoke(scope):
            request = HttpRequest.from_scope(scope)
            match = _PATH.fullmatch(request.path)
            # A bucket may be called "endpoints"; its requests are signed for S3.
            if match and "/s3/aws4_request" not in request.headers.get("authorization", ""):
                await self._answer(request, match[1], match[2], receive, send)
                return
        await self.inner(scope, receive, send)

    def close(self) -> None:
        """Close the connections to model servers that nobody uses. On the loop, at its end."""
        for target in self.table.targets():
            if target.pool is not None:
                target.pool.close()

    async def _answer(
        self, request: HttpRequest, endpoint: str, kind: str, receive: Receive, send: Send
    ) -> None:
        request_id = ids.request_id()
        try:
            body = await _read(request, receive)
            scope = self._authenticate(request, body)
            if kind == "async-invocations":
                raise not_implemented("sagemaker-runtime", _OPERATIONS[kind])
            streams = kind != "invocations"
            invocation = _Invocation(request, endpoint, streams, body, scope, request_id)
            if streams:
                await self._stream(invocation, receive, send)
            else:
                await self._whole(invocation, send)
        except _Disconnected:
            pass
        except ApiError as error:
            await _send_error(send, error, request_id)
        except Exception:
            log.exception("Invoking %s failed", endpoint, extra={"action": "invocation_failed"})
            await _send_error(send, internal_failure(), request_id)

    def _authenticate(self, request: HttpRequest, body: bytes) -> Scope:
        try:
            signed = verify_request(
                request.method,
                request.path,
                request.query,
                request.headers,
                sha256(body).hexdigest(),
                self.credentials,
                clock.now(),
            )
        except ApiError as error:
            raise in_dialect(error, "rest-json") from None
        if signed.service != "sagemaker":
            text = "Credential should be scoped to correct service: 'sagemaker'."
            raise ApiError("InvalidSignatureException", text, 403)
        return Scope(signed.credential.principal.account, signed.region)

    # -- the two kinds of answers

    async def _whole(self, invocation: _Invocation, send: Send) -> None:
        try:
            answer = await self._invoke(invocation, Pool.ask)
            self._check(invocation, answer.status, answer.body)
        finally:
            self._record(invocation)
        headers = _success(invocation, answer.headers)
        headers.append((b"content-length", b"%d" % len(answer.body)))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _stream(self, invocation: _Invocation, receive: Receive, send: Send) -> None:
        try:
            stream = await self._invoke(invocation, Pool.begin)
            watch = asyncio.ensure_future(_gone(receive))
            watch.add_done_callback(lambda _: stream.abort())
            try:
                await self._relay(invocation, stream, send)
            finally:
                stream.close()
                watch.cancel()
        finally:
            self._record(invocation)

    async def _relay(self, invocation: _Invocation, stream: Stream, send: Send) -> None:
        if not 200 <= stream.status < 300:
            self._check(invocation, stream.status, await _rest(stream))
        headers = _success(invocation, stream.headers)
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        try:
            while chunk := await stream.read():
                part = eventstream.event("PayloadPart", chunk)
                await send({"type": "http.response.body", "body": part, "more_body": True})
            last = b""
        except (Lost, TimedOut) as error:
            last = _broken(error)
        await send({"type": "http.response.body", "body": last})

    def _check(self, invocation: _Invocation, status: int, body: bytes) -> None:
        if not 200 <= status < 300:
            text = body.decode("utf-8", "replace")
            raise errors.model_error(invocation.scope, invocation.endpoint, status, text)

    # -- finding a model server that answers

    async def _invoke(
        self,
        invocation: _Invocation,
        ask: Callable[[Pool, bytes, bytes, float], Awaitable[T]],
    ) -> T:
        """Ask one model server after the other until one has seen the request."""
        head = invocation.head()
        tried: set[Target] = set()
        while True:
            target = self._choose(invocation, tried)
            if target is not None:
                try:
                    return await self._ask(invocation, target, head, ask)
                except Unreachable as error:
                    log.debug("%s does not answer: %s", target.address, error)
                    tried.add(target)
                    continue
            left = invocation.started + self.recovery_seconds - clock.monotonic()
            if left <= 0:
                raise errors.unavailable()
            # All of them are gone: they are being replaced, or are about to be.
            await self.table.changed(min(left, _RETRY_SECONDS))
            tried.clear()

    def _choose(self, invocation: _Invocation, tried: set[Target]) -> Target | None:
        route = self.table.find(invocation.scope, invocation.endpoint)
        if route is None:
            raise errors.endpoint_not_found(invocation.scope, invocation.endpoint)
        variant = _variant(route, invocation)
        invocation.variant = variant.name
        return variant.target(tried)

    async def _ask(
        self,
        invocation: _Invocation,
        target: Target,
        head: bytes,
        ask: Callable[[Pool, bytes, bytes, float], Awaitable[T]],
    ) -> T:
        if target.pool is None:
            target.pool = Pool(target.address)
        target.inflight += 1
        leave = target.leave
        started = clock.monotonic()
        try:
            answer = await ask(target.pool, head, invocation.body, self.model_seconds)
            invocation.status = answer.status
            if isinstance(answer, Stream):
                answer.on_close, leave = leave, _nothing
            return answer
        except TimedOut:
            raise errors.timed_out(invocation.scope, invocation.endpoint) from None
        except Lost as error:
            log.warning("%s: %s", target.address, error, extra={"action": "invocation_lost"})
            raise errors.lost(invocation.scope, invocation.endpoint) from None
        finally:
            leave()
            invocation.answered = clock.monotonic()
            invocation.model_seconds = invocation.answered - started

    def _record(self, invocation: _Invocation) -> None:
        if invocation.answered:
            model = invocation.model_seconds
            self.meter.record(
                invocation.scope,
                invocation.endpoint,
                invocation.variant,
                invocation.status,
                model,
                invocation.answered - invocation.started - model,
            )


def _may_invoke(scope: AsgiScope) -> bool:
    """A first look that costs nothing, for all the requests that are not for us."""
    if scope["type"] != "http" or scope["method"] != "POST":
        return False
    path: str = scope["path"]
    return path.startswith("/endpoints/")


def _variant(route: Route, invocation: _Invocation) -> Variant:
    """The variant the client asks for, else one by weight."""
    wanted = invocation.request.headers.get("x-amzn-sagemaker-target-variant")
    if wanted is None:
        return route.choose()
    variant = route.variant(wanted)
    if variant is None:
        raise errors.variant_not_found(wanted, invocation.endpoint)
    return variant


async def _read(request: HttpRequest, receive: Receive) -> bytes:
    """The whole body. One that is too large is refused before it is read."""
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > errors.MAX_BODY:
        raise errors.too_large()
    message = await receive()
    chunks: list[bytes] = []
    size = 0
    while True:
        if message["type"] == "http.disconnect":
            raise _Disconnected
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > errors.MAX_BODY:
            raise errors.too_large()
        if not message.get("more_body"):
            return b"".join((*chunks, chunk)) if chunks else chunk
        chunks.append(chunk)
        message = await receive()


async def _gone(receive: Receive) -> None:
    """Return when the client has gone away."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _rest(stream: Stream) -> bytes:
    chunks = []
    while chunk := await stream.read():
        chunks.append(chunk)
    return b"".join(chunks)


def _success(invocation: _Invocation, answered: dict[bytes, bytes]) -> Headers:
    content_type = answered.get(b"content-type", b"application/octet-stream")
    headers = [
        (b"x-amzn-requestid", invocation.request_id.encode()),
        (b"x-amzn-invoked-production-variant", invocation.variant.encode()),
    ]
    if invocation.streams:
        headers.append((b"content-type", eventstream.CONTENT_TYPE))
        headers.append((b"x-amzn-sagemaker-content-type", content_type))
    else:
        headers.append((b"content-type", content_type))
    for name in _PASSED_BACK:
        if name in answered:
            headers.append((name, answered[name]))
    return headers


def _nothing() -> None:
    pass


def _broken(error: Exception) -> bytes:
    """The event that ends a stream whose model server did not."""
    timed_out = isinstance(error, TimedOut)
    text = "Your model took too long to respond." if timed_out else "The model's stream broke off."
    code = "ModelInvocationTimeExceeded" if timed_out else "StreamBroken"
    payload = json.dumps({"Message": text, "ErrorCode": code})
    return eventstream.exception("ModelStreamError", payload.encode())


async def _send_error(send: Send, error: ApiError, request_id: str) -> None:
    headers, body = errors.encode(error)
    headers.append((b"x-amzn-requestid", request_id.encode()))
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
