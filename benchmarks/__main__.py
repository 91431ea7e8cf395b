"""Run every benchmark, one after the other: `python -m benchmarks [NAME ...]`.

Each is a process of its own; one whose peer or data is not installed says so.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
HELPERS = {"__main__", "__init__", "harness", "corpora"}


def names() -> list[str]:
    scripts = [*HERE.glob("*.py"), *HERE.glob("algorithms/*.py")]
    found = (path.relative_to(HERE).with_suffix("") for path in sorted(scripts))
    return [".".join(path.parts) for path in found if path.name not in HELPERS]


def main() -> int:
    chosen = sys.argv[1:] or names()
    failed = []
    for name in chosen:
        print(f"\n## {name}\n", flush=True)
        if subprocess.call([sys.executable, "-m", f"benchmarks.{name}"], cwd=HERE.parent):
            failed.append(name)
    if failed:
        print(f"\nfailed: {', '.join(failed)}")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
