"""What `make demo` runs: examples/quickstart.py against a server in a folder of its own.

The quickstart is an AWS script; this file only starts and stops what answers it.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from wildsage.testing import LocalServer

QUICKSTART = Path(__file__).with_name("quickstart.py")


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="wildsage-demo-") as home:
        started = time.perf_counter()
        server = LocalServer.start(Path(home))
        print(f"server at {server.url}, up in {time.perf_counter() - started:.2f} s", flush=True)
        try:
            print(f"running {QUICKSTART.name} with the unmodified SageMaker SDK", flush=True)
            exec_command = [sys.executable, "-m", "wildsage", "exec", "--home", home, "--"]
            status = subprocess.call([*exec_command, sys.executable, str(QUICKSTART)])
        finally:
            server.stop()
        print(f"server stopped after {time.perf_counter() - started:.1f} s", flush=True)
        return status


if __name__ == "__main__":
    sys.exit(main())
