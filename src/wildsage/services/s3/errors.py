"""What the object store raises, in the codes, texts and statuses of S3."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

from wildsage.store.errors import StoreError
from wildsage.store.objects import errors as store
from wildsage.store.objects.bodies import FULL
from wildsage.wire.errors import ApiError
from wildsage.wire.registry import Handler


def operations(handlers: Mapping[str, Handler]) -> dict[str, Handler]:
    """The handlers, each answering the store's errors as S3 does."""
    return {name: _translating(handler) for name, handler in handlers.items()}


def _translating(handler: Handler) -> Handler:
    if iscoroutinefunction(handler):
        asynchronous: Callable[..., Awaitable[Any]] = handler

        @wraps(handler)
        async def later(ctx: Any, request: dict[str, Any]) -> Any:
            try:
                return await asynchronous(ctx, request)
            except FileNotFoundError as error:  # a body cannot be read twice, so no second try
                raise internal_error() from error
            except (StoreError, OSError) as error:
                raise translate(error) from error

        return later

    @wraps(handler)
    def now(ctx: Any, request: dict[str, Any]) -> Any:
        try:
            return handler(ctx, request)
        except (StoreError, OSError) as error:
            raise translate(error) from error

    return now


def translate(error: Exception) -> Exception:
    """The ApiError for an error of the store; any other error as it is."""
    for kind, make in _ANSWERS.items():
        if isinstance(error, kind):
            return make(error)
    if isinstance(error, OSError) and error.errno in FULL:
        return storage_full()
    return error


def storage_full() -> ApiError:
    """507 and not 500, so that clients do not send gigabytes again and again."""
    text = "We could not store the data: there is no space left where wildsage keeps objects."
    return ApiError("InternalError", text, 507)


def internal_error() -> ApiError:
    return ApiError("InternalError", "We encountered an internal error. Please try again.", 500)


def invalid_argument(message: str, name: str, value: object) -> ApiError:
    fields = {"ArgumentName": name, "ArgumentValue": str(value)}
    return ApiError("InvalidArgument", message, 400, fields=fields)


def invalid_request(message: str) -> ApiError:
    return ApiError("InvalidRequest", message)


def not_implemented(what: str) -> ApiError:
    text = f"A header you provided implies functionality that is not implemented: {what}"
    return ApiError("NotImplemented", text, 501)


def malformed_xml() -> ApiError:
    text = (
        "The XML you provided was not well-formed or did not validate against our published schema"
    )
    return ApiError("MalformedXML", text)


def access_denied() -> ApiError:
    return ApiError("AccessDenied", "Access Denied", 403)


def precondition_failed(condition: str) -> ApiError:
    text = "At least one of the pre-conditions you specified did not hold"
    return ApiError("PreconditionFailed", text, 412, fields={"Condition": condition})


def no_such_version(key: str, version: str) -> ApiError:
    fields = {"Key": key, "VersionId": version}
    return ApiError("NoSuchVersion", "The specified version does not exist.", 404, fields=fields)


def _no_such_bucket(error: store.NoSuchBucket) -> ApiError:
    fields = {"BucketName": error.name}
    return ApiError("NoSuchBucket", "The specified bucket does not exist", 404, fields=fields)


def _no_such_key(error: store.NoSuchKey) -> ApiError:
    fields = {"Key": error.key}
    return ApiError("NoSuchKey", "The specified key does not exist.", 404, fields=fields)


def _no_such_upload(error: store.NoSuchUpload) -> ApiError:
    text = (
        "The specified upload does not exist. The upload ID may be invalid, or the upload may "
        "have been aborted or completed."
    )
    return ApiError("NoSuchUpload", text, 404, fields={"UploadId": error.name})


def _bucket_not_empty(error: store.BucketNotEmpty) -> ApiError:
    text = "The bucket you tried to delete is not empty"
    return ApiError("BucketNotEmpty", text, 409, fields={"BucketName": str(error)})


def _bad_digest(error: store.BadChecksum) -> ApiError:
    if error.algorithm == "MD5":
        calculated = base64.b64encode(bytes.fromhex(error.computed)).decode()
        expected = base64.b64encode(bytes.fromhex(error.declared)).decode()
        text = "The Content-MD5 you specified did not match what we received."
        fields = {"ExpectedDigest": expected, "CalculatedDigest": calculated}
        return ApiError("BadDigest", text, fields=fields)
    text = f"The {error.algorithm} you specified did not match the calculated checksum."
    return ApiError("BadDigest", text)


def _invalid_part(error: store.InvalidPart) -> ApiError:
    text = (
        "One or more of the specified parts could not be found.  The part may not have been "
        "uploaded, or the specified entity tag may not match the part's entity tag."
    )
    fields = {"PartNumber": str(error.number), "ETag": error.etag}
    return ApiError("InvalidPart", text, fields=fields)


def _invalid_part_order(_: store.InvalidPartOrder) -> ApiError:
    text = "The list of parts was not in ascending order. Parts must be ordered by part number."
    return ApiError("InvalidPartOrder", text)


def _entity_too_small(error: store.PartTooSmall) -> ApiError:
    fields = {
        "ProposedSize": str(error.size),
        "MinSizeAllowed": str(5 << 20),
        "PartNumber": str(error.number),
        "ETag": error.etag,
    }
    text = "Your proposed upload is smaller than the minimum allowed size"
    return ApiError("EntityTooSmall", text, fields=fields)


def _wrong_size(error: store.WrongSize) -> ApiError:
    return invalid_request(f"The size of the body is not the announced one: {error}.")


_ANSWERS: dict[type[Exception], Callable[[Any], ApiError]] = {
    store.NoSuchBucket: _no_such_bucket,
    store.NoSuchKey: _no_such_key,
    store.NoSuchUpload: _no_such_upload,
    store.BucketNotEmpty: _bucket_not_empty,
    store.PreconditionFailed: lambda error: precondition_failed(error.condition),
    store.BadChecksum: _bad_digest,
    store.InvalidPart: _invalid_part,
    store.InvalidPartOrder: _invalid_part_order,
    store.PartTooSmall: _entity_too_small,
    store.WrongSize: _wrong_size,
}
