"""What the data path answers when something is wrong, in AWS's words, as botocore parses it."""

from __future__ import annotations

import json
import re

from wildsage import arns
from wildsage.arns import Scope
from wildsage.wire.errors import ApiError

MAX_BODY = 6291456
_LOG_GROUP = "/aws/sagemaker/Endpoints/"
_FIELD = re.compile(r"[\r\n]+")


def too_large() -> ApiError:
    return ApiError(
        "ValidationError",
        "1 validation error detected: Value at 'body' failed to satisfy constraint: "
        f"Member must have length less than or equal to {MAX_BODY}",
    )


def endpoint_not_found(scope: Scope, endpoint: str) -> ApiError:
    return ApiError("ValidationError", f"Endpoint {endpoint} of account {scope.account} not found.")


def variant_not_found(variant: str, endpoint: str) -> ApiError:
    return ApiError("ValidationError", f"Variant {variant} not found for Endpoint {endpoint}.")


def unavailable() -> ApiError:
    text = (
        "The request has failed due to a temporary failure of the server: no model server answers."
    )
    return ApiError("ServiceUnavailable", text, 503)


def timed_out(scope: Scope, endpoint: str) -> ApiError:
    text = (
        "Your invocation timed out while waiting for a response from container primary. Review the "
        "latency metrics for each container in Amazon CloudWatch, resolve the issue, and try again."
    )
    return model_error(scope, endpoint, 0, text)


def lost(scope: Scope, endpoint: str) -> ApiError:
    return _model_error(scope, endpoint, 0, "", "and could not load the entire response body")


def model_error(scope: Scope, endpoint: str, status: int, message: str) -> ApiError:
    """The model answered `status` with this text (0: it did not answer)."""
    return _model_error(scope, endpoint, status, message, f'with message "{message}"')


def _model_error(scope: Scope, endpoint: str, status: int, message: str, ending: str) -> ApiError:
    side = "client" if 400 <= status < 500 else "server"
    group = _LOG_GROUP + endpoint
    console = (
        f"https://{scope.region}.console.aws.amazon.com/cloudwatch/home"
        f"?region={scope.region}#logEventViewer:group={group}"
    )
    text = (
        f"Received {side} error ({status}) from primary {ending}. "
        f"See {console} in account {scope.account} for more information."
    )
    fields = {
        "OriginalStatusCode": status,
        "OriginalMessage": message,
        "LogStreamArn": arns.build("logs", scope, f"log-group:{group}"),
    }
    return ApiError("ModelError", text, 424, fields=fields)


def encode(error: ApiError) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Headers and body of an error of the rest-json protocol."""
    body = json.dumps({"Message": error.message, "message": error.message, **error.fields}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"x-amzn-errortype", error.code.encode("latin-1", "replace")),
    ]
    for name, value in error.headers.items():
        clean = _FIELD.sub(" ", value)
        headers.append((name.lower().encode("latin-1"), clean.encode("latin-1", "replace")))
    return headers, body
