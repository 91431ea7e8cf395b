"""The picture in docs/architecture.md, enforced: imports go down only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "wildsage"
LEAVES = {"", "arns", "clock", "ids", "log", "logfile", "presence", "settings"}
# A room may import itself, the leaves and the rooms named here.
MAY_IMPORT: dict[str, set[str]] = {
    "formats": set(),
    "contract": {"formats"},
    "serving": {"contract", "formats"},
    "algorithms": {"serving", "contract", "formats"},
    "compute": {"contract"},
    "store": set(),
    "wire": set(),
    "router": {"wire"},
    "proxy": set(),
    "jobs": {"store", "compute", "contract", "router", "algorithms"},
    "services": {"wire", "store", "jobs", "router", "algorithms", "contract"},
    "server": {"wire", "router", "services", "jobs", "compute", "store", "proxy"},
    "cli": {"server", "services", "compute", "store", "wire", "algorithms"},
    "testing": {"cli"},
    "docs": {"wire", "services", "algorithms", "cli"},
    "__main__": {"cli"},
}
# Algorithms are programs of their own: the server reads what they declare, and runs nothing.
DECLARATIONS = {"registry", "spec"}
# Only these may know botocore's internals; everyone else goes through wire.
KNOWS_BOTOCORE = {"wire"}


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        yield parts[0] if parts != ("__init__",) else "", path


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            if node.module == "wildsage":
                yield from (f"wildsage.{alias.name}" for alias in node.names)


ROOMS = [pytest.param(room, path, id=str(path.relative_to(SOURCE))) for room, path in modules()]


@pytest.mark.parametrize(("room", "path"), ROOMS)
def test_imports_go_down(room: str, path: Path) -> None:
    allowed = LEAVES | {room} | MAY_IMPORT.get(room, set())
    found = {name.split(".")[1] for name in imports(path) if name.startswith("wildsage.")}
    assert found - allowed == set()


@pytest.mark.parametrize(("room", "path"), ROOMS)
def test_the_server_reads_only_the_declarations_of_algorithms(room: str, path: Path) -> None:
    if room in {"algorithms", "docs"}:
        return
    used = {name for name in imports(path) if name.startswith("wildsage.algorithms.")}
    assert {name.rsplit(".", 1)[1] for name in used} <= DECLARATIONS


@pytest.mark.parametrize(("room", "path"), ROOMS)
def test_only_the_wire_knows_botocore(room: str, path: Path) -> None:
    if room not in KNOWS_BOTOCORE:
        assert not [name for name in imports(path) if name.split(".")[0] == "botocore"]


def test_every_room_is_in_the_picture() -> None:
    assert {room for room, _ in modules()} - set(MAY_IMPORT) - LEAVES == set()
