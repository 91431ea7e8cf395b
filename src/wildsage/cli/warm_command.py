"""`wildsage warm`: compile the algorithms' kernels now, so that no first job waits for it."""

from __future__ import annotations

import argparse
import subprocess
import sys

from wildsage import clock
from wildsage.algorithms import registry
from wildsage.settings import Settings

HELP = "compile the built-in algorithms' kernels, so that first jobs are as fast as later ones"
# A process of its own for each, as a job has: what is compiled is kept where jobs look for it.
_CODE = """
import sys
from wildsage.algorithms import checks
from wildsage.contract.failure import ClientError
try:
    checks.trains_and_answers(sys.argv[1])
except ClientError as error:
    sys.exit(str(error))
"""


def configure(parser: argparse.ArgumentParser) -> None:
    names = sorted(registry.ALGORITHMS)
    parser.add_argument("algorithm", nargs="*", help=f"all of them, or some of: {', '.join(names)}")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    del settings
    unknown = set(arguments.algorithm) - set(registry.ALGORITHMS)
    if unknown:
        raise ValueError(f"no such algorithm: {', '.join(sorted(unknown))}")
    failed = [name for name in arguments.algorithm or registry.ALGORITHMS if not warm(name)]
    return 1 if failed else 0


def warm(name: str) -> bool:
    """Train the algorithm's small example and ask its model something."""
    began = clock.monotonic()
    command = [sys.executable, "-c", _CODE, name]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    told = done.stderr.strip().rpartition("\n")[2] if done.returncode else "ready"
    print(f"{name}: {told} ({clock.monotonic() - began:.1f} s)", flush=True)
    return not done.returncode
