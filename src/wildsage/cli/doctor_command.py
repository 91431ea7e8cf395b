"""`wildsage doctor`: what this machine lets wildsage do, and what follows where it does not."""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import sys
from collections.abc import Iterator

from wildsage.compute.base import Capability
from wildsage.compute.process import ProcessCompute
from wildsage.settings import Settings

HELP = "say what works on this machine and what is missing"
# Importable name -> (extra, what it is for).
EXTRAS = {
    "xgboost": ("xgboost", "the xgboost algorithm"),
    "pyarrow": ("parquet", "Parquet input"),
    "numba": ("algorithms", "compiled kernels of several built-in algorithms"),
    "faiss": ("algorithms", "the knn algorithm"),
    "torch": ("neural", "algorithms that train networks"),
    "psycopg": ("postgresql", "PostgreSQL as the database"),
}
FREE_BYTES = 5 * 2**30


def configure(parser: argparse.ArgumentParser) -> None:
    del parser


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    for capability in capabilities(settings):
        mark = "ok     " if capability.available else "missing"
        print(f"{mark}  {capability.name}: {capability.detail}")
    return 0


def capabilities(settings: Settings) -> Iterator[Capability]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Capability("Python", sys.version_info >= (3, 11), f"{version} (3.11 or later is needed)")
    yield disk(settings)
    compute = ProcessCompute(settings.instances)
    try:
        yield from compute.capabilities()
    finally:
        compute.close()
    for module, (extra, purpose) in EXTRAS.items():
        found = importlib.util.find_spec(module) is not None
        how = "installed" if found else f"pip install 'wildsage[{extra}]'"
        yield Capability(module, found, f"{purpose}; {how}")


def disk(settings: Settings) -> Capability:
    folder = settings.home
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    detail = f"{free / 2**30:.0f} GiB free under {settings.home}"
    return Capability("disk", free >= FREE_BYTES, detail)
