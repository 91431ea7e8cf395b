"""What the store refuses, in the words of CloudWatch Logs; and how a request names its group."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeAlias

from wildsage.services.platform import Ctx
from wildsage.store.errors import AlreadyExists, InvalidToken, NotFound
from wildsage.store.log_patterns import InvalidPattern
from wildsage.wire.errors import ApiError

Answer: TypeAlias = dict[str, Any] | None
Operation: TypeAlias = Callable[[Ctx, dict[str, Any]], Answer]

_NOUNS = {"log-group": "log group", "log-stream": "log stream"}


def refusing(operation: Operation) -> Operation:
    """Turn the store's refusals into answers."""

    @wraps(operation)
    def answer(ctx: Ctx, request: dict[str, Any]) -> Answer:
        try:
            return operation(ctx, request)
        except NotFound as error:
            raise not_found(error.kind) from error
        except AlreadyExists as error:
            text = f"The specified {_NOUNS[error.kind]} already exists"
            raise ApiError("ResourceAlreadyExistsException", text) from error
        except InvalidToken as error:
            raise invalid("The specified nextToken is invalid.") from error
        except InvalidPattern as error:
            raise invalid(str(error)) from error

    return answer


def operations(table: Mapping[str, Operation]) -> dict[str, Operation]:
    return {name: refusing(operation) for name, operation in table.items()}


def not_found(kind: str) -> ApiError:
    text = f"The specified {_NOUNS[kind]} does not exist."
    return ApiError("ResourceNotFoundException", text)


def invalid(text: str) -> ApiError:
    return ApiError("InvalidParameterException", text)


def group_name(request: Mapping[str, Any]) -> str:
    """`logGroupName`, or the name in `logGroupIdentifier`, which may be an ARN."""
    name, identifier = request.get("logGroupName"), request.get("logGroupIdentifier")
    if (name is None) == (identifier is None):
        raise invalid("Exactly one of logGroupName and logGroupIdentifier must be specified.")
    return name or name_in_arn(str(identifier))


def name_in_arn(identifier: str) -> str:
    """The group's name in its ARN, with or without the `:*` at the end; a name stays as it is."""
    _, found, name = identifier.partition(":log-group:")
    return name.removesuffix(":*") if found else identifier
