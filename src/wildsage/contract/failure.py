"""How a program under the contract fails: the class tells whose fault it is, the text what to do.

`run(main)` turns an exception into what the contract asks for: an ERROR line on stdout, the text
in `/opt/ml/output/failure`, and the exit code. `failure_reason` is the other side of it: what
`DescribeTrainingJob` shows for such an exit. Wording and codes are those of the first-party
containers (aws/sagemaker-rl-container, vw_serving/sagemaker/exceptions.py and error_handler.py).
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable

from wildsage import clock
from wildsage.contract.paths import Paths

OUT_OF_MEMORY = (
    "Out of Memory. Please use a larger instance type or reduce batch size. For additional "
    "hyper-parameters that may have an effect on memory usage, please check the algorithm "
    "documentation."
)
INTERNAL_ERROR = "We encountered an internal error. Please try again."
REASON_LIMIT = 1024


class ContractError(Exception):
    """A failure with an owner. `caused_by` names a class; `cause` is its message, shown below."""

    exit_code = 1
    prefix = "Algorithm Error"
    reason = "AlgorithmError"

    def __init__(
        self,
        message: str,
        *,
        caused_by: str | BaseException | None = None,
        cause: str | None = None,
    ) -> None:
        if isinstance(caused_by, BaseException):
            cause = str(caused_by) if cause is None else cause
            caused_by = type(caused_by).__name__
        super().__init__(f"{message} (caused by {caused_by})" if caused_by else message)
        self.cause = cause

    @property
    def text(self) -> str:
        """The message, and the cause under it."""
        return f"{self}\n\nCaused by: {self.cause}" if self.cause else str(self)


class ClientError(ContractError):
    """The user can prevent it: hyperparameters, channels, data."""

    exit_code = 2
    prefix = "Customer Error"
    reason = "ClientError"


class AlgorithmError(ContractError):
    """The program could not go on."""


class InternalServerError(ContractError):
    """What the platform promised is not there: a folder, a configuration file, a peer's address."""

    exit_code = 3
    prefix = "Platform Error"
    reason = "InternalServerError"


_OWNERS = {error.exit_code: error for error in (AlgorithmError, ClientError, InternalServerError)}


def failure_reason(exit_code: int, text: str, *, builtin: bool = True) -> str:
    """The FailureReason of an instance that ended with `exit_code` and left `text` behind.

    Only the built-in algorithms' exit codes say whose fault it was; any other program's failure
    is an AlgorithmError that quotes its code.
    """
    quoted = text[:REASON_LIMIT]
    if not builtin:
        return f"AlgorithmError: {quoted}, exit code: {exit_code}"
    owner = _OWNERS.get(exit_code, AlgorithmError)
    if owner is InternalServerError:
        return f"InternalServerError: {INTERNAL_ERROR}"
    if not quoted:
        return f"{owner.reason}: Please check the logs of the training job, exit code: {exit_code}"
    return f"{owner.reason}: {quoted}"[:REASON_LIMIT]


def run(main: Callable[[], None], paths: Paths | None = None) -> int:
    """Call `main`; returns the exit code after having told of a failure."""
    try:
        main()
    except Exception as error:
        return report(as_contract_error(error), paths or Paths.from_environment())
    return 0


def as_contract_error(error: Exception) -> ContractError:
    """Whose fault an exception is; an unexpected one is the algorithm's."""
    if isinstance(error, ContractError):
        return error
    if isinstance(error, MemoryError):
        return ClientError(OUT_OF_MEMORY)
    traceback.print_exception(error, file=sys.stderr)
    return AlgorithmError(str(error) or "unknown error occurred", caused_by=type(error).__name__)


def report(error: ContractError, paths: Paths) -> int:
    """Print the ERROR line, write the failure file; returns the exit code."""
    stamp = time.strftime("%m/%d/%Y %H:%M:%S", time.gmtime(clock.now()))
    line = f"[{stamp} ERROR {threading.get_ident()}] {error.prefix}: {error.text}"
    print(line, flush=True)
    paths.output.mkdir(parents=True, exist_ok=True)
    paths.failure.write_text(error.text, encoding="utf-8")
    return error.exit_code
