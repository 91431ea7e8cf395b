"""What every variant did since somebody last asked: counts and sums, kept in memory.

Whoever turns them into metrics calls `drain` from time to time; the names are CloudWatch's.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from wildsage.arns import Scope


@dataclass(slots=True)
class Usage:
    """Sums over the invocations of one variant; latencies in seconds."""

    invocations: int = 0
    client_errors: int = 0
    server_errors: int = 0
    model_latency: float = 0.0
    overhead_latency: float = 0.0
    slowest: float = 0.0


@dataclass(slots=True)
class Meter:
    _usage: dict[tuple[Scope, str, str], Usage] = field(default_factory=dict)

    def record(
        self, scope: Scope, endpoint: str, variant: str, status: int, model: float, overhead: float
    ) -> None:
        """One invocation and what its model answered (0: nothing)."""
        key = (scope, endpoint, variant)
        usage = self._usage.get(key)
        if usage is None:
            usage = self._usage[key] = Usage()
        usage.invocations += 1
        usage.model_latency += model
        usage.overhead_latency += overhead
        usage.slowest = max(usage.slowest, model)
        if not 200 <= status < 300:
            if 400 <= status < 500:
                usage.client_errors += 1
            else:
                usage.server_errors += 1

    def drain(self) -> dict[tuple[Scope, str, str], Usage]:
        """Everything since the last call, by scope, endpoint and variant."""
        usage, self._usage = self._usage, {}
        return usage
