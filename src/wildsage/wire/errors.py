"""The one error tree of the wire: whatever a client is told went wrong is an `ApiError`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ApiError(Exception):
    """An answer that is an error: AWS's code and text, the HTTP status, extra headers and members.

    `fields` are the further members of the modelled exception, such as `OriginalStatusCode`.
    """

    def __init__(
        self,
        code: str,
        message: str,
        status: int = 400,
        headers: Mapping[str, str] | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.status = status
        self.headers = dict(headers or {})
        self.fields = dict(fields or {})

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


def not_implemented(service: str, operation: str) -> ApiError:
    """An operation that AWS has and we lack, named, so that silence is never taken for success."""
    text = f"{service}:{operation} is not implemented by wildsage."
    return ApiError("NotImplemented", text, 501)


def serialization(message: str = "") -> ApiError:
    """The body is not what the model says: not JSON, or of another type than the member has."""
    return ApiError("SerializationException", message)


def internal_failure() -> ApiError:
    text = "The request processing has failed because of an unknown error, exception or failure."
    return ApiError("InternalFailure", text, 500)


# What services that speak JSON call the errors of authentication. SageMaker's control plane answers
# them with 400 (aws/amazon-sagemaker-operator-for-k8s#99), REST services with 403.
_JSON_NAMES = {
    "ExpiredToken": "ExpiredTokenException",
    "IncompleteSignature": "IncompleteSignatureException",
    "InvalidClientTokenId": "UnrecognizedClientException",
    "MissingAuthenticationToken": "MissingAuthenticationTokenException",
    "SignatureDoesNotMatch": "InvalidSignatureException",
}


def in_dialect(error: ApiError, protocol: str) -> ApiError:
    """The error as services of this protocol name it."""
    if protocol not in ("json", "rest-json") or error.code not in _JSON_NAMES:
        return error
    status = 400 if protocol == "json" else error.status
    return ApiError(_JSON_NAMES[error.code], error.message, status, fields=error.fields)
