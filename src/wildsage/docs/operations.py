"""docs/reference/operations.md: what of each AWS service is served here."""

from __future__ import annotations

from wildsage.services.registry import SERVICES
from wildsage.wire.model import service_model
from wildsage.wire.registry import Registry

# Operations that the router serves, not a handler.
ROUTED = {"sagemaker-runtime": {"InvokeEndpoint", "InvokeEndpointWithResponseStream"}}


def page() -> str:
    registry = Registry(SERVICES)
    covered = {name: (served(registry, name), every(name)) for name in sorted({*SERVICES, *ROUTED})}
    sections = [
        "# Operations",
        "",
        "An operation that is not served answers 501 and names itself.",
        "",
        "| service | served | of |",
        "|---|---|---|",
        *(f"| {name} | {len(works)} | {len(known)} |" for name, (works, known) in covered.items()),
        "",
    ]
    for name, (works, known) in covered.items():
        sections += [f"## {name}", "", "| operation | |", "|---|---|"]
        sections += [f"| {op} | {'works' if op in works else '501'} |" for op in known]
        sections.append("")
    return "\n".join(sections)


def served(registry: Registry, service: str) -> set[str]:
    return set(registry.load(service)) | ROUTED.get(service, set())


def every(service: str) -> list[str]:
    return sorted(service_model(service).operation_names)
