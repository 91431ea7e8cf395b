"""The front door: every AWS request, from the socket to a handler and back, in raw ASGI.

The life of a request, in `WireApp._answer`:

    address       which service and protocol, from the credential scope, the target, the form
    authenticate  the signature; the body is read first where the signature covers its bytes
    parse         operation, then the request's members by the model
    validate      the model's constraints, with AWS's texts
    call          the handler, in a worker thread or on the loop
    serialize     the answer by the model

An `ApiError` at any step becomes the error of the protocol spoken; anything else is logged and
answered as InternalFailure. However it ends, it is recorded.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import zlib
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from wildsage import arns, clock, ids
from wildsage.arns import Scope
from wildsage.wire import errors, payload, sigv2, sigv4
from wildsage.wire.context import Context, Credential, CredentialLookup, Principal
from wildsage.wire.dispatch import Address, Dispatcher, codec_of
from wildsage.wire.errors import ApiError
from wildsage.wire.files import OpenedFile
from wildsage.wire.model import Operation, service_model, validate
from wildsage.wire.protocols import write_error
from wildsage.wire.record import RequestRecord
from wildsage.wire.registry import Handler, Registry, Services
from wildsage.wire.reply import Reply
from wildsage.wire.request import HttpRequest
from wildsage.wire.sigv4 import Signed
from wildsage.wire.streams import FileSlice, RequestBody, Response

log = logging.getLogger(__name__)

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

MAX_BODY = 16 << 20  # of a request whose body is not a stream
WORKERS = 16
ATTEMPTS = 3
ANONYMOUS = Principal("", "anonymous", "", "")


@dataclass(slots=True)
class _Exchange:
    """One request and what has been found out about it so far."""

    request: HttpRequest
    receive: Receive
    request_id: str = field(default_factory=ids.request_id)
    started: float = field(default_factory=clock.now)
    address: Address = Address("rest-xml", None)
    principal: Principal = ANONYMOUS
    scope: Scope = Scope()
    operation: Operation | None = None
    error: ApiError | None = None
    body_touched: bool = False
    opened: list[OpenedFile] = field(default_factory=list)

    async def take(self) -> Any:
        """The next piece of the body; the first asks a waiting client to go on."""
        self.body_touched = True
        return await self.receive()


class WireApp:
    """`services` maps botocore's service names to modules with OPERATIONS.

    `record` is told of every request on the loop's thread, so it must be quick. `base_hosts` are
    the names under which clients may put a bucket in front: `bucket.localhost`.
    """

    def __init__(
        self,
        *,
        services: Services,
        platform: Any,
        credentials: CredentialLookup,
        record: Callable[[RequestRecord], None],
        base_hosts: Sequence[str] = ("localhost",),
    ) -> None:
        self._platform = platform
        self._credentials = credentials
        self._record = record
        self._services = tuple(services)
        self._registry = Registry(services)
        self._dispatcher = Dispatcher(self._services, base_hosts)
        self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="wire")

    def warm(self) -> None:
        """Load what the first requests would otherwise wait for. May run beside them."""
        for service in self._services:
            service_model(service)
            self._registry.load(service)

    def close(self) -> None:
        self._workers.shutdown(wait=False, cancel_futures=True)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(f"no answer for {scope['type']!r}")
        exchange = _Exchange(HttpRequest.from_scope(scope), receive)
        status = 500
        try:
            reply = await self._reply(exchange)
            status = reply.status
            await self._send(exchange, reply, send)
        finally:
            for opened in exchange.opened:
                opened.close()
            self._record(_record_of(exchange, status))

    async def _reply(self, exchange: _Exchange) -> Reply:
        try:
            return await self._answer(exchange)
        except ApiError as error:
            exchange.error = error
        except Exception:
            name = exchange.operation or exchange.request.path
            log.exception("%s failed", name, extra={"action": "request_failed"})
            exchange.error = errors.internal_failure()
        address = exchange.address
        exchange.error = errors.in_dialect(exchange.error, address.protocol)
        return write_error(address.service, address.protocol, exchange.error, exchange.request_id)

    # ---- the life of a request

    async def _answer(self, exchange: _Exchange) -> Reply:
        request = exchange.request
        body = await self._authenticate(exchange)
        operation, labels = self._dispatcher.operation(
            exchange.address, request, body if isinstance(body, bytes) else b""
        )
        exchange.operation = operation
        if exchange.principal is ANONYMOUS and operation.signed:
            raise _unsigned(exchange.address)
        handler = await self._handler(operation)
        if operation.streaming_member is None:
            body = await _in_memory(body, request)
        elif isinstance(body, bytes):
            body = RequestBody.of(body)
        codec = codec_of(operation, exchange.address.protocol)
        values = _guarded(lambda: codec.read(request, labels, body))
        _guarded(lambda: validate(operation, values))
        context = self._context(exchange, operation)
        response = await self._call(exchange, handler, context, values)
        return codec.write(response, exchange.request_id)

    async def _authenticate(self, exchange: _Exchange) -> bytes | RequestBody:
        """Establish who asks. The body is still to be read where its hash is declared."""
        request, now = exchange.request, clock.now()
        claim = sigv4.read_claim(request.query, request.headers)
        second = claim is None and sigv2.is_presigned(request.query)
        name = claim.service if claim else "s3" if second else None
        address = exchange.address = self._dispatcher.address(request, name)
        if second:
            signed = sigv2.verify(request, address.bucket, self._credentials, now)
        elif claim is None:
            return await self._anonymous(exchange)
        else:
            streams = "x-amz-content-sha256" in request.headers or claim.service == "s3"
            body = None if streams else await _read(payload.open_body(request, None, exchange.take))
            signed = sigv4.verify(
                claim,
                request.method,
                request.path,
                request.query,
                request.headers,
                None if body is None else sha256(body).hexdigest(),
                self._credentials,
                now,
            )
            if body is not None:
                self._identify(exchange, signed)
                return body
        self._identify(exchange, signed)
        opened = payload.open_body(request, signed, exchange.take)
        payload.forget_chunking(request)
        return opened

    async def _anonymous(self, exchange: _Exchange) -> bytes:
        """Of unsigned requests only those to a few operations of STS get any further."""
        if exchange.address.protocol != "query":
            raise _unsigned(exchange.address)
        return await _read(payload.open_body(exchange.request, None, exchange.take))

    def _identify(self, exchange: _Exchange, signed: Signed) -> None:
        credential: Credential = signed.credential
        exchange.principal = credential.principal
        exchange.scope = Scope(credential.principal.account, signed.region)

    async def _handler(self, operation: Operation) -> Handler:
        service = operation.service.name
        operations = self._registry.loaded(service)
        if operations is None:
            loop = asyncio.get_running_loop()
            operations = await loop.run_in_executor(self._workers, self._registry.load, service)
        try:
            return operations[operation.name]
        except KeyError:
            raise errors.not_implemented(service, operation.name) from None

    def _context(self, exchange: _Exchange, operation: Operation) -> Context[Any]:
        request = exchange.request
        return Context(
            self._platform,
            exchange.scope,
            exchange.principal,
            operation.service.name,
            operation.name,
            exchange.request_id,
            request.headers.get("user-agent", ""),
            request.source_ip,
            request.headers.get("host", ""),
            request.headers,
        )

    async def _call(
        self, exchange: _Exchange, handler: Handler, context: Context[Any], values: dict[str, Any]
    ) -> Response:
        """Run the handler. A file that was replaced before it could be opened is looked up anew."""
        loop = asyncio.get_running_loop()
        for attempt in range(1, ATTEMPTS + 1):
            try:
                if not inspect.iscoroutinefunction(handler):
                    run = loop.run_in_executor
                    return await run(self._workers, _run, exchange, handler, context, values)
                response = _response(await handler(context, values))
                if _slices(response):
                    await loop.run_in_executor(self._workers, _open_files, exchange, response)
                return response
            except FileNotFoundError:
                if attempt == ATTEMPTS:
                    raise
        raise AssertionError

    # ---- the answer

    async def _send(self, exchange: _Exchange, reply: Reply, send: Send) -> None:
        headers = reply.raw_headers()
        if "expect" in exchange.request.headers and not exchange.body_touched:
            # The client still holds its body back and may never send it: the connection is of no
            # further use, as the next request could not be told from that body.
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        body = reply.body
        if exchange.request.method == "HEAD" or not reply.has_body:
            body = b""
        if isinstance(body, bytes):
            await send({"type": "http.response.body", "body": body, "more_body": False})
            return
        pieces = body.pieces(self._workers) if isinstance(body, OpenedFile) else body
        gone = asyncio.ensure_future(exchange.receive())
        try:
            async for piece in pieces:
                if gone.done() and gone.result()["type"] == "http.disconnect":
                    return
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        finally:
            gone.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _run(
    exchange: _Exchange, handler: Handler, context: Context[Any], values: dict[str, Any]
) -> Response:
    """What a worker thread does: the handler, and the opening of the file it answers with."""
    response = _response(handler(context, values))
    _open_files(exchange, response)
    return response


def _response(result: Any) -> Response:
    if isinstance(result, Response):
        return result
    return Response({} if result is None else result)


def _slices(response: Response) -> list[str]:
    return [name for name, value in response.output.items() if isinstance(value, FileSlice)]


def _open_files(exchange: _Exchange, response: Response) -> None:
    for name in _slices(response):
        opened = OpenedFile(response.output[name])
        exchange.opened.append(opened)
        whole = opened.first if len(opened.first) == opened.length else opened
        response.output = {**response.output, name: whole}


def _guarded(step: Callable[[], Any]) -> Any:
    """Values nested beyond all measure must not look like a fault of ours."""
    try:
        return step()
    except RecursionError:
        raise errors.serialization("The request is nested too deeply.") from None


async def _read(body: RequestBody) -> bytes:
    """The whole of a body that is no stream."""
    data = await body.read(MAX_BODY + 1)
    if len(data) > MAX_BODY:
        raise ApiError("RequestEntityTooLarge", f"Request size exceeded {MAX_BODY} bytes", 413)
    return data


async def _in_memory(body: bytes | RequestBody, request: HttpRequest) -> bytes:
    data = body if isinstance(body, bytes) else await _read(body)
    if request.headers.get("content-encoding") != "gzip":
        return data
    unpacker = zlib.decompressobj(wbits=31)
    try:
        return unpacker.decompress(data, MAX_BODY)
    except zlib.error:
        raise errors.serialization("The request's gzip encoding is broken.") from None


def _unsigned(address: Address) -> ApiError:
    if address.protocol == "rest-xml":
        return ApiError("AccessDenied", "Access Denied", 403)
    return sigv4.missing()


def _record_of(exchange: _Exchange, status: int) -> RequestRecord:
    operation, error, service = exchange.operation, exchange.error, exchange.address.service
    return RequestRecord(
        time=exchange.started,
        duration=clock.now() - exchange.started,
        request_id=exchange.request_id,
        service=operation.service.name if operation else service.name if service else "",
        operation=operation.name if operation else "",
        account=exchange.scope.account if exchange.principal is not ANONYMOUS else "",
        region=exchange.scope.region or arns.DEFAULT_REGION,
        principal=exchange.principal.arn,
        access_key=exchange.principal.access_key,
        source_ip=exchange.request.source_ip,
        user_agent=exchange.request.headers.get("user-agent", ""),
        status=status,
        error_code=error.code if error else "",
        error_message=error.message if error else "",
    )
