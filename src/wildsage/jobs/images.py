"""Which program an image stands for. The only door from jobs to the algorithms' declarations.

Images are matched on repository name and tag; account and region are ignored, because clients build
URIs from static tables of their own.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from wildsage.algorithms import registry

if TYPE_CHECKING:
    from wildsage.algorithms.spec import AlgorithmSpec

_URI = re.compile(
    r"(?P<registry>\d{12})\.dkr\.ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?"
    r"/(?P<repository>[a-z0-9]+(?:[._/-][a-z0-9]+)*)"
    r"(?::(?P<tag>[\w.-]{1,128}))?(?:@sha256:[0-9a-f]{64})?"
)


class InvalidImage(ValueError):
    """Not the path of an image in ECR."""


class UnknownImage(LookupError):
    """No program here answers to this image."""

    def __init__(self, repository: str, registry_id: str, tag: str) -> None:
        super().__init__(f"{repository}:{tag}")
        self.repository = repository
        self.registry_id = registry_id
        self.tag = tag


class Program(Protocol):
    """What a job runs: a command, and what is known about it beforehand."""

    @property
    def builtin(self) -> bool: ...

    def argv(self, verb: str) -> tuple[str, ...]:
        """The command for `train` or `serve`."""

    def validate(
        self, hyperparameters: Mapping[str, str], channels: Mapping[str, Mapping[str, str]]
    ) -> None:
        """Raise `contract.failure.ClientError` for what could never work."""

    def metric_definitions(self) -> list[dict[str, str]]: ...


@dataclass(frozen=True)
class Builtin:
    """A built-in algorithm."""

    algorithm: str
    tag: str
    spec: AlgorithmSpec
    builtin: bool = True

    def argv(self, verb: str) -> tuple[str, ...]:
        return (sys.executable, "-m", "wildsage.algorithms", verb, self.algorithm)

    def validate(
        self, hyperparameters: Mapping[str, str], channels: Mapping[str, Mapping[str, str]]
    ) -> None:
        self.spec.validate(hyperparameters)
        self.spec.validate_channels(channels)

    def metric_definitions(self) -> list[dict[str, str]]:
        return self.spec.metric_definitions()


def resolve(uri: str) -> Builtin:
    """The program behind an image URI; InvalidImage, UnknownImage."""
    match = _URI.fullmatch(uri)
    if match is None:
        raise InvalidImage(uri)
    repository, tag = match["repository"], match["tag"] or "latest"
    name = registry.find_image(repository)
    if name is None or not _accepts(registry.spec(name), tag):
        raise UnknownImage(repository, match["registry"], tag)
    return Builtin(name, tag, registry.spec(name))


def _accepts(spec: AlgorithmSpec, tag: str) -> bool:
    """`1.7-1` stands for `1.7-1-cpu-py3` too."""
    return any(tag == known or tag.startswith(known + "-") for known in spec.tags)
