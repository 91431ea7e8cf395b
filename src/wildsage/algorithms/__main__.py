"""`python -m wildsage.algorithms train|serve NAME`: an algorithm as a program under the contract.

The first log lines are written before anything heavy is imported, and bad hyperparameters or
channels end the program before that too.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from functools import partial
from types import FrameType

from wildsage.algorithms import registry, training
from wildsage.algorithms.reporting import write_line
from wildsage.algorithms.spec import AlgorithmSpec
from wildsage.contract import failure
from wildsage.contract.env import TrainingEnvironment


class StopSignal:
    """Set by SIGTERM: training ends with what it has, and the model is saved."""

    def __init__(self) -> None:
        self.received = False

    def install(self) -> None:
        signal.signal(signal.SIGTERM, self._receive)

    def __call__(self) -> bool:
        return self.received

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.received = True


def main(arguments: Sequence[str]) -> int:
    if len(arguments) != 2 or arguments[0] not in ("train", "serve"):
        print("usage: python -m wildsage.algorithms train|serve NAME", file=sys.stderr)
        return failure.ClientError.exit_code
    command, name = arguments
    spec = registry.spec(name)
    for line in spec.first_lines:
        write_line(line.format(command=command))
    if command == "serve":
        return serve(name)
    return failure.run(partial(train, spec))


def train(spec: AlgorithmSpec) -> None:
    """Run a training job on this instance."""
    stop = StopSignal()
    stop.install()
    training.execute(spec, TrainingEnvironment.load(), stopping=stop)


def serve(name: str) -> int:
    """Answer requests until told to stop; the exit code.

    Matrix products of requests are small: threads that wait for each other on a busy machine cost
    milliseconds and win nothing, so there is one unless the environment says otherwise.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from wildsage.algorithms.serve import handler
    from wildsage.serving.server import serve as run_server

    return run_server(partial(handler, name))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
