"""An instance in a folder, to run a training job in this process: checks, tests, benchmarks."""

from __future__ import annotations

import io
import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path

from wildsage.algorithms import training
from wildsage.algorithms.spec import AlgorithmSpec
from wildsage.contract.channels import ChannelConfig
from wildsage.contract.cluster import Cluster
from wildsage.contract.env import TrainingEnvironment
from wildsage.contract.paths import Paths


@dataclass
class Instance:
    """One host's folder, hyperparameters and channels; `log` is what its job printed."""

    folder: Path
    hyperparameters: dict[str, str] = field(default_factory=dict)
    host: str = "algo-1"
    hosts: tuple[str, ...] = ("algo-1",)
    channels: dict[str, ChannelConfig] = field(default_factory=dict)
    pipes: dict[str, bytes] = field(default_factory=dict)
    log: str = ""

    @property
    def paths(self) -> Paths:
        return Paths(self.folder)

    def add_channel(
        self,
        name: str,
        content: bytes,
        content_type: str | None,
        *,
        mode: str = "File",
        distribution: str = "FullyReplicated",
        record_wrapper: str = "None",
    ) -> None:
        """A channel of one file, or of pipes that give the content once per epoch."""
        folder = self.paths.channel(name)
        folder.parent.mkdir(parents=True, exist_ok=True)
        self.channels[name] = ChannelConfig(
            name, content_type, mode, record_wrapper, distribution, self.paths
        )
        if mode == "Pipe":
            self.pipes[name] = content
        else:
            folder.mkdir()
            (folder / "part-0").write_bytes(content)

    def environment(self) -> TrainingEnvironment:
        return TrainingEnvironment(
            self.hyperparameters, self.hosts, self.host, "lo", self.channels, "job", self.paths
        )

    def run(
        self,
        spec: AlgorithmSpec,
        *,
        stopping: Callable[[], bool] = lambda: False,
        cluster: Cluster | None = None,
    ) -> None:
        """Run the job to its end."""
        written = io.StringIO()
        with ExitStack() as stack:
            for name, content in self.pipes.items():
                stack.enter_context(feeding(self.paths, name, content))
            if cluster is None:
                stack.enter_context(redirect_stdout(written))
            try:
                training.execute(spec, self.environment(), stopping=stopping, cluster=cluster)
            finally:
                self.log = written.getvalue()


@contextmanager
def feeding(paths: Paths, channel: str, content: bytes) -> Iterator[None]:
    """FIFOs that hold `content`, one per epoch, each there before the one before it ends."""
    ended = threading.Event()
    first = paths.pipe(channel, 0)
    os.mkfifo(first)
    thread = threading.Thread(target=_feed, args=(paths, channel, content, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        for epoch in (0, *range(1, 1000)):
            pipe = paths.pipe(channel, epoch)
            if not pipe.exists():
                break
            os.close(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK))
        thread.join(10)


def _feed(paths: Paths, channel: str, content: bytes, ended: threading.Event) -> None:
    epoch = 0
    while not ended.is_set():
        with open(paths.pipe(channel, epoch), "wb", buffering=0) as pipe:
            epoch += 1
            os.mkfifo(paths.pipe(channel, epoch))
            view = memoryview(content)
            try:
                while view and not ended.is_set():
                    view = view[pipe.write(view) or 0 :]
            except BrokenPipeError:
                continue


def run_gang(spec: AlgorithmSpec, gang: Sequence[Instance]) -> None:
    """Run one job on several instances, each in a thread of its own, joined over loopback."""
    hosts = tuple(instance.host for instance in gang)
    with socket.create_server(("127.0.0.1", 0)) as free:
        addresses = {hosts[0]: f"127.0.0.1:{free.getsockname()[1]}"}
    failures: list[BaseException] = []

    def run(instance: Instance) -> None:
        cluster = Cluster(hosts, instance.host, addresses, connect_seconds=20)
        try:
            replace(instance, hosts=hosts).run(spec, cluster=cluster)
        except BaseException as error:
            failures.append(error)
            cluster.close()

    written = io.StringIO()
    threads = [threading.Thread(target=run, args=(instance,)) for instance in gang]
    with redirect_stdout(written):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for instance in gang:
        instance.log = written.getvalue()
    if failures:
        raise failures[0]
