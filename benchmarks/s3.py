"""How fast S3 is, through boto3, against a server of S3 alone in a process of its own.

    python benchmarks/s3.py [--megabytes 256] [--operations 500] [--folder /somewhere/on/the/disk]

Every object is durable when its write is answered: body and row are synced. The first figure is
what the disk itself does, so that the others can be judged. Each is the median of three runs.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3

SERVE = Path(__file__).parents[1] / "tests" / "services" / "s3" / "serve.py"
RUNS = 3
THREADS = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=256)
    parser.add_argument("--operations", type=int, default=500)
    parser.add_argument("--folder", default=tempfile.gettempdir())
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        home = Path(folder)
        command = [sys.executable, str(SERVE), str(home)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            try:
                measure(home, f"http://127.0.0.1:{server.stdout.readline().strip()}", options)
                print(f"{'memory of the server':38}{resident(server.pid) / 1e6:8.0f} MB")
            finally:
                server.terminate()


def measure(home: Path, url: str, options: argparse.Namespace) -> None:
    size = options.megabytes * 1_000_000
    source, target = home / "source", home / "target"
    source.write_bytes(os.urandom(1_000_000) * options.megabytes)
    client = make_client(url)
    client.create_bucket(Bucket="bench")
    data = source.read_bytes()

    def throughput(name: str, work: Callable[[], Any]) -> None:
        print(f"{name:38}{size / 1e6 / median(work):8.0f} MB/s", flush=True)

    throughput("disk: write and fsync", lambda: write_and_sync(target, data))
    throughput("upload_file, parts of 8 MiB", lambda: client.upload_file(source, "bench", "file"))
    throughput("put_object", lambda: client.put_object(Bucket="bench", Key="put", Body=data))
    throughput("get_object", lambda: read_all(client))
    throughput("download_file", lambda: client.download_file("bench", "file", str(target)))
    operations(home, url, options.operations)


def operations(home: Path, url: str, count: int) -> None:
    """Objects of 1 KiB, from one thread and from several."""
    body, keys = os.urandom(1024), [f"small/{number:06}" for number in range(count)]
    clients = [make_client(url) for _ in range(THREADS)]

    def put(number: int) -> None:
        client = clients[number % THREADS]
        client.put_object(Bucket="bench", Key=keys[number], Body=body)

    def get(number: int) -> None:
        client = clients[number % THREADS]
        client.get_object(Bucket="bench", Key=keys[number])["Body"].read()

    folder = home / "plain"
    folder.mkdir()
    plain = median(lambda: [write_and_sync(folder / str(n), body) for n in range(count)])
    print(f"{'disk: write and fsync 1 KiB':38}{count / plain:8.0f} /s", flush=True)
    for name, work in (("PUT", put), ("GET", get)):
        for threads in (1, THREADS):
            with ThreadPoolExecutor(threads) as pool:
                seconds = median(lambda p=pool, w=work: list(p.map(w, range(count))))
            print(
                f"{f'{name} of 1 KiB, {threads} threads':38}{count / seconds:8.0f} /s", flush=True
            )
    listing = median(
        lambda: list(clients[0].get_paginator("list_objects_v2").paginate(Bucket="bench"))
    )
    print(f"{'list_objects_v2':38}{count / listing:8.0f} keys/s", flush=True)


def make_client(url: str) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=url,
        aws_access_key_id="AKIDME",
        aws_secret_access_key="secret",
        region_name="us-east-1",
    )


def read_all(client: Any) -> None:
    for _ in client.get_object(Bucket="bench", Key="put")["Body"].iter_chunks(1 << 20):
        pass


def write_and_sync(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def median(work: Callable[[], Any]) -> float:
    return statistics.median(timed(work) for _ in range(RUNS))


def timed(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def resident(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


if __name__ == "__main__":
    main()
