"""What real clients do with big files, many at once, and while the server is killed."""

from __future__ import annotations

import hashlib
import io
import os
import resource
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import BotoCoreError, ClientError

MEBIBYTE = 1 << 20
CONFIG = TransferConfig(multipart_chunksize=5 * MEBIBYTE, multipart_threshold=5 * MEBIBYTE)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(os.urandom(1 << 16) * (16 * 23) + b"odd end")
    return path


def test_files_both_ways(s3: Any, bucket: str, source: Path, tmp_path: Path) -> None:
    extra = {"ContentType": "text/csv;label_size=0", "Metadata": {"a": "b"}}
    s3.upload_file(str(source), bucket, "k", ExtraArgs=extra, Config=CONFIG)
    s3.download_file(bucket, "k", str(tmp_path / "target"), Config=CONFIG)
    assert (tmp_path / "target").read_bytes() == source.read_bytes()
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert (head["ContentType"], head["Metadata"]) == (extra["ContentType"], extra["Metadata"])
    assert head["ETag"].endswith('-5"')
    assert "ChecksumCRC32" in head
    s3.copy({"Bucket": bucket, "Key": "k"}, bucket, "copy", Config=CONFIG)
    target = io.BytesIO()
    s3.download_fileobj(bucket, "copy", target, Config=CONFIG)
    assert target.getvalue() == source.read_bytes()


def test_a_stream_of_unknown_length(s3: Any, bucket: str, source: Path) -> None:
    with source.open("rb") as file:
        s3.upload_fileobj(file, bucket, "k", Config=CONFIG)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == source.read_bytes()


def test_ten_clients_at_once(server: Any, bucket: str) -> None:
    def work(number: int) -> int:
        client, data = server.client(), os.urandom(50_000) * (1 + 10 * (number % 2))
        for turn in range(4):
            key = f"{number}/{turn % 2}"
            client.put_object(Bucket=bucket, Key=key, Body=data)
            assert client.get_object(Bucket=bucket, Key=key)["Body"].read() == data
            client.put_object(Bucket=bucket, Key="shared", Body=data)
            client.delete_object(Bucket=bucket, Key=f"{number}/0")
        return int(client.list_objects_v2(Bucket=bucket, Prefix=f"{number}/")["KeyCount"])

    with ThreadPoolExecutor(10) as pool:
        assert list(pool.map(work, range(10))) == [1] * 10


def test_memory_stays_flat(server: Any, s3: Any, bucket: str) -> None:
    class Zeros(io.RawIOBase):
        """200 MB that need no memory here either."""

        def __init__(self) -> None:
            self.position = 0

        def readable(self) -> bool:
            return True

        def seekable(self) -> bool:
            return True

        def seek(self, offset: int, whence: int = 0) -> int:
            self.position = offset + (0, self.position, 200 * MEBIBYTE)[whence]
            return self.position

        def tell(self) -> int:
            return self.position

        def read(self, size: int = -1) -> bytes:
            left = 200 * MEBIBYTE - self.position
            size = left if size < 0 else min(size, left)
            self.position += size
            return bytes(size)

    s3.put_object(Bucket=bucket, Key="warm", Body=b"x" * 3 * MEBIBYTE)
    s3.get_object(Bucket=bucket, Key="warm")["Body"].read()
    before = server.memory()
    s3.put_object(Bucket=bucket, Key="big", Body=Zeros())
    size, highest = 0, server.memory()
    for chunk in s3.get_object(Bucket=bucket, Key="big")["Body"].iter_chunks(MEBIBYTE):
        size += len(chunk)
        highest = max(highest, server.memory()) if size % (20 * MEBIBYTE) == 0 else highest
    assert size == 200 * MEBIBYTE
    assert highest - before < 40 * MEBIBYTE
    s3.delete_object(Bucket=bucket, Key="big")


def test_kill_9_while_clients_write(start: Callable[[], Any], tmp_path: Path) -> None:
    acknowledged: dict[str, str] = {}
    enough = threading.Event()

    def write(client: Any, number: int) -> None:
        turn = 0
        while True:
            turn += 1
            key, data = f"{number}/{turn}", os.urandom(1000 + 90_000 * (turn % 3))
            try:
                client.put_object(Bucket="bucket", Key=key, Body=data)
            except (ClientError, BotoCoreError):
                return
            acknowledged[key] = hashlib.md5(data).hexdigest()
            if len(acknowledged) > 60:
                enough.set()

    with start() as first:
        client = first.client()
        client.create_bucket(Bucket="bucket")
        upload = client.create_multipart_upload(Bucket="bucket", Key="parts")["UploadId"]
        named = {"Bucket": "bucket", "Key": "parts", "UploadId": upload}
        part = client.upload_part(**named, PartNumber=1, Body=b"part")
        writers = [
            threading.Thread(target=write, args=(first.client(), number)) for number in range(4)
        ]
        for writer in writers:
            writer.start()
        assert enough.wait(60)
        os.kill(first.pid, signal.SIGKILL)
        for writer in writers:
            writer.join()
    with start() as second:
        client = second.client()
        for key, digest in acknowledged.items():
            body = client.get_object(Bucket="bucket", Key=key)["Body"].read()
            assert hashlib.md5(body).hexdigest() == digest
        chosen = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        client.complete_multipart_upload(**named, MultipartUpload=chosen)
        assert client.get_object(Bucket="bucket", Key="parts")["Body"].read() == b"part"
        count = client.list_objects_v2(Bucket="bucket")["KeyCount"]
        assert sum(path.is_file() for path in (tmp_path / "objects").rglob("*")) == count


def test_a_full_disk(start: Callable[[], Any], tmp_path: Path) -> None:
    with start() as server:
        client = server.client()
        client.create_bucket(Bucket="bucket")
        limit = 5 * MEBIBYTE
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (limit, limit))
        with pytest.raises(ClientError) as error:
            client.put_object(Bucket="bucket", Key="k", Body=bytes(8 * MEBIBYTE))
        assert error.value.response["Error"]["Code"] == "InternalError"
        assert "no space left" in error.value.response["Error"]["Message"]
        assert client.list_objects_v2(Bucket="bucket")["KeyCount"] == 0
        client.put_object(Bucket="bucket", Key="k", Body=b"small")
        assert client.get_object(Bucket="bucket", Key="k")["Body"].read() == b"small"
        assert sum(path.is_file() for path in (tmp_path / "objects").rglob("*")) == 1
