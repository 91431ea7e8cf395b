"""A training job inside its instance: configuration, checks, then the algorithm's `train`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from wildsage import clock
from wildsage.algorithms import registry
from wildsage.algorithms.reporting import AlgorithmLog
from wildsage.algorithms.spec import AlgorithmSpec, base_type
from wildsage.contract.env import TrainingEnvironment

if TYPE_CHECKING:
    from wildsage.contract.cluster import Cluster

# Where the first-party containers keep it; the line is part of their log.
_DEFAULTS_FILE = "/opt/amazon/lib/python3.8/site-packages/algorithm/resources/default-input.json"


def execute(
    spec: AlgorithmSpec,
    environment: TrainingEnvironment,
    *,
    stopping: Callable[[], bool] = lambda: False,
    cluster: Cluster | None = None,
) -> None:
    """Run the job that `environment` describes; ContractError tells why it cannot."""
    start = clock.now()
    log = AlgorithmLog(environment.current_host, spec.log_name or spec.name)
    hyperparameters = configure(spec, environment, log)
    # NumPy is imported from here on, after the checks and the first lines of the log.
    from wildsage.algorithms.base import TrainingJob

    program = registry.program(spec.name)
    job = TrainingJob.create(
        spec, environment, hyperparameters, stopping=stopping, cluster=cluster, log=log
    )
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
    merged = spec.default_configuration() | provided
    if spec.announces_configuration:
        source = environment.paths.hyperparameters
        defaults = spec.default_configuration()
        log.info(f"Reading default configuration from {_DEFAULTS_FILE}: {defaults}")
        log.info(f"Merging with provided configuration from {source}: {provided}")
        log.info(f"Final configuration: {merged}")
    values = spec.validate(provided)
    spec.validate_channels(_entries(environment))
    if spec.announces_configuration:
        _announce_set_up(spec, environment, merged, log)
    return values


def _entries(environment: TrainingEnvironment) -> dict[str, dict[str, str]]:
    return {
        name: {
            "ContentType": config.content_type or "",
            "TrainingInputMode": config.mode,
            "S3DistributionType": config.distribution,
        }
        for name, config in environment.channels.items()
    }


def _announce_set_up(
    spec: AlgorithmSpec,
    environment: TrainingEnvironment,
    merged: dict[str, str],
    log: AlgorithmLog,
) -> None:
    """The lines between the configuration and the algorithm's own."""
    log.raw("Process 1 is a worker.")
    log.info("Using default worker.")
    declared = {channel.name: channel.default_content_type for channel in spec.channels}
    kinds = {
        base_type(config.content_type or declared[name])
        for name, config in environment.channels.items()
    }
    for kind in sorted(kinds):
        log.info(f"Loaded iterator creator {kind} for content type {(kind, '1.0')}")
    log.info(f"Create Store: {'local' if len(environment.hosts) == 1 else 'dist_sync'}")
    log.info("Number of GPUs being used: 0")
    log.info(f"Setting up with params: {merged}")
