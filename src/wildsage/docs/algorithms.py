"""docs/reference/algorithms.md: what every built-in algorithm declares."""

from __future__ import annotations

from wildsage.algorithms import registry
from wildsage.algorithms.spec import AlgorithmSpec, Hyperparameter

HYPERPARAMETER_HEAD = ["| hyperparameter | values | default | tunable |", "|---|---|---|---|"]
CHANNEL_HEAD = ["| channel | content types | modes | |", "|---|---|---|---|"]
METRIC_HEAD = ["| metric | read from the log by | |", "|---|---|---|"]


def page() -> str:
    sections = ["# Built-in algorithms", ""]
    for name in sorted(registry.ALGORITHMS):
        sections += section(registry.spec(name))
    return "\n".join(sections)


def section(spec: AlgorithmSpec) -> list[str]:
    images = ", ".join(f"`{image}`" for image in spec.image_names)
    shown = [p for p in spec.hyperparameters if not p.hidden]
    return [
        f"## {spec.name}",
        "",
        f"{spec.title}. Images {images}." + (" Several instances." if spec.distributed else ""),
        "",
        *HYPERPARAMETER_HEAD,
        *(hyperparameter_row(parameter) for parameter in shown),
        "",
        *CHANNEL_HEAD,
        *(
            f"| {c.name} | {', '.join(c.content_types)} | {', '.join(c.modes)} "
            f"| {'required' if c.required else ''} |"
            for c in spec.channels
        ),
        "",
        *METRIC_HEAD,
        *(f"| {m.name} | `{escaped(m.regex)}` | {direction(m.maximize)} |" for m in spec.metrics),
        "",
    ]


def hyperparameter_row(parameter: Hyperparameter) -> str:
    default = "required" if parameter.required else f"`{parameter.default_text() or ''}`"
    default = "" if default == "``" else default
    values = escaped(parameter.range_text)
    return f"| {parameter.name} | {values} | {default} | {'yes' if parameter.tunable else ''} |"


def direction(maximize: bool | None) -> str:
    return {None: "", True: "maximize", False: "minimize"}[maximize]


def escaped(text: str) -> str:
    return text.replace("|", "\\|")
