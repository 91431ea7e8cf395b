"""`python -m wildsage.algorithms train|serve NAME`: an algorithm as a program under the contract.

The first log lines are written before anything heavy is imported, and bad hyperparameters or
channels end the program before that too.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from functools import partial
from types import FrameType
from typing import Any

from wildsage import clock
from wildsage.algorithms import registry
from wildsage.algorithms.reporting import AlgorithmLog, write_line
from wildsage.algorithms.spec import AlgorithmSpec
from wildsage.contract import failure
from wildsage.contract.env import TrainingEnvironment

_DEFAULTS_FILE = "/opt/amazon/lib/python3.8/site-packages/algorithm/resources/default-input.json"


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
    start = clock.now()
    stop = StopSignal()
    stop.install()
    environment = TrainingEnvironment.load()
    log = AlgorithmLog(environment.current_host, spec.log_name or spec.name)
    hyperparameters = configure(spec, environment, log)
    from wildsage.algorithms.base import TrainingJob

    program = registry.program(spec.name)
    job = TrainingJob.create(spec, environment, hyperparameters, stopping=stop, log=log)
    setup = (clock.now() - start) * 1000
    try:
        program.train(job)
    finally:
        job.cluster.close()
    if spec.announces_configuration:
        total = (clock.now() - start) * 1000
        log.metrics_json({"setuptime": setup, "totaltime": total}, start)


def configure(
    spec: AlgorithmSpec, environment: TrainingEnvironment, log: AlgorithmLog
) -> dict[str, Any]:
    """Merge, announce and validate hyperparameters; validate channels."""
    provided = dict(environment.hyperparameters)
    if spec.announces_configuration:
        defaults = spec.default_configuration()
        source = environment.paths.hyperparameters
        log.info(f"Reading default configuration from {_DEFAULTS_FILE}: {defaults}")
        log.info(f"Merging with provided configuration from {source}: {provided}")
        log.info(f"Final configuration: {defaults | provided}")
    values = spec.validate(provided)
    entries = {
        name: {
            "ContentType": config.content_type or "",
            "TrainingInputMode": config.mode,
            "S3DistributionType": config.distribution,
        }
        for name, config in environment.channels.items()
    }
    spec.validate_channels(entries)
    return values


def serve(name: str) -> int:
    """Answer requests until told to stop."""
    from wildsage.algorithms.serve import handler
    from wildsage.serving.server import serve as run_server

    run_server(partial(handler, name))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
