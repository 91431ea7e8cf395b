from __future__ import annotations

import io
from pathlib import Path

import pytest

from wildsage import clock
from wildsage.arns import Scope
from wildsage.store.database import Database
from wildsage.store.objects import Objects, StoredObject
from wildsage.store.objects.errors import (
    BadChecksum,
    BucketExists,
    BucketNotEmpty,
    NoSuchBucket,
    NoSuchKey,
    PreconditionFailed,
)
from wildsage.store.objects.listing import Listing
from wildsage.store.objects.types import Attributes, Condition

AWKWARD = ["a", "a/b", "dir/", "..", "../x", "//", "a/./b", "é/ü ☃", "x" * 1024, "\n", "a\x00b"]


def body(objects: Objects, key: str) -> bytes:
    with objects.open("bucket", key) as file:
        return file.read()


def files(objects: Objects) -> int:
    objects._bodies.empty_trash()
    return sum(path.is_file() for path in objects._bodies._root.rglob("*"))


def test_put_and_read(objects: Objects) -> None:
    with clock.using(clock.ManualClock(1000.5)):
        stored = objects.put(
            "bucket", "k", b"hello", content_type="text/csv;label_size=0", metadata={"a": "b"}
        )
    assert stored == objects.head("bucket", "k")
    assert (stored.size, stored.modified) == (5, 1000.5)
    assert stored.etag == "5d41402abc4b2a76b9719d911017c592"
    assert stored.content_type == "text/csv;label_size=0"
    assert stored.metadata == {"a": "b"}
    assert stored.path.read_bytes() == body(objects, "k") == b"hello"


def test_put_from_a_file_and_a_stream(objects: Objects, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x" * 3_000_000)
    objects.put("bucket", "file", source)
    objects.put("bucket", "stream", io.BytesIO(b"y" * 10))
    assert body(objects, "file") == source.read_bytes()
    assert body(objects, "stream") == b"y" * 10


def test_any_key_is_a_key_of_its_own(objects: Objects) -> None:
    for key in AWKWARD:
        objects.put("bucket", key, key.encode())
    assert [body(objects, key).decode() for key in AWKWARD] == AWKWARD
    assert [stored.key for stored in objects.list("bucket")] == sorted(AWKWARD, key=str.encode)


def test_what_is_missing(objects: Objects) -> None:
    with pytest.raises(NoSuchKey):
        objects.head("bucket", "k")
    for call in (objects.head, objects.open):
        with pytest.raises(NoSuchBucket):
            call("other", "k")
    with pytest.raises(NoSuchBucket):
        objects.put("other", "k", b"")
    with pytest.raises(NoSuchBucket):
        objects.list("other")
    with pytest.raises(NoSuchBucket):
        objects.page("other", Listing())
    assert files(objects) == 0


def test_overwriting_and_deleting_leave_no_bytes_behind(objects: Objects) -> None:
    objects.put("bucket", "k", b"one")
    objects.put("bucket", "k", b"two")
    assert body(objects, "k") == b"two"
    assert files(objects) == 1
    objects.delete("bucket", "k")
    objects.delete("bucket", "k")
    assert files(objects) == 0


def test_a_reader_keeps_what_it_was_shown(objects: Objects, tmp_path: Path) -> None:
    stored = objects.put("bucket", "k", b"one")
    objects.put("bucket", "k", b"two")
    objects.link(stored, tmp_path / "snapshot")
    objects.delete("bucket", "k")
    objects._bodies.empty_trash()
    assert (tmp_path / "snapshot").read_bytes() == b"one"


def test_a_writer_that_gives_up_leaves_nothing(objects: Objects) -> None:
    with pytest.raises(RuntimeError), objects.writer() as writer:
        writer.write(b"half")
        raise RuntimeError
    with pytest.raises(BadChecksum), objects.writer() as writer:
        writer.write(b"data")
        writer.verify("00" * 16, {})
    assert files(objects) == 0


def test_conditions(objects: Objects) -> None:
    def put(data: bytes, condition: Condition) -> StoredObject:
        with objects.writer() as writer:
            writer.write(data)
            return objects.commit(writer, "bucket", "k", Attributes(), condition)

    with pytest.raises(NoSuchKey):
        put(b"", Condition(etag="x"))
    stored = put(b"one", Condition(absent=True))
    with pytest.raises(PreconditionFailed):
        put(b"two", Condition(absent=True))
    with pytest.raises(PreconditionFailed):
        put(b"two", Condition(etag="x"))
    with pytest.raises(PreconditionFailed):
        objects.delete("bucket", "k", Condition(etag="x"))
    assert body(objects, "k") == b"one"
    put(b"two", Condition(etag=stored.etag))
    assert body(objects, "k") == b"two"
    assert files(objects) == 1


def test_checksums_are_kept(objects: Objects) -> None:
    with objects.writer(["CRC32", "SHA1"]) as writer:
        writer.write(b"Hello world")
        writer.verify(None, {"CRC32": "i9aeUg=="})
        objects.commit(writer, "bucket", "k", Attributes())
    stored = objects.head("bucket", "k")
    assert stored.checksums == {"CRC32": "i9aeUg==", "SHA1": "e1AsOh9IyGCa4hLN+2Od7jlnP14="}


def test_a_copy_shares_the_bytes(objects: Objects) -> None:
    source = objects.put("bucket", "k", b"data", content_type="text/plain")
    copy = objects.copy(source, "bucket", "copy", source.attributes)
    assert (copy.etag, copy.content_type) == (source.etag, "text/plain")
    assert copy.path.samefile(source.path)
    objects.delete("bucket", "k")
    objects._bodies.empty_trash()
    assert body(objects, "copy") == b"data"


def test_a_copy_with_another_checksum_is_read(objects: Objects) -> None:
    source = objects.put("bucket", "k", b"Hello world")
    copy = objects.copy(source, "bucket", "copy", Attributes(), algorithm="CRC32C")
    assert copy.checksums == {"CRC32C": "crUfeA=="}
    assert body(objects, "copy") == b"Hello world"


def test_a_copy_that_may_not_be_leaves_nothing(objects: Objects) -> None:
    source = objects.put("bucket", "k", b"data")
    with pytest.raises(PreconditionFailed):
        objects.copy(source, "bucket", "k", Attributes(), condition=Condition(absent=True))
    with pytest.raises(NoSuchBucket):
        objects.copy(source, "other", "k", Attributes())
    assert files(objects) == 1


def test_tags(objects: Objects) -> None:
    objects.put("bucket", "k", b"data", metadata={"a": "b"})
    assert objects.tag("bucket", "k", {"x": "y"}).tags == {"x": "y"}
    stored = objects.head("bucket", "k")
    assert (stored.tags, stored.metadata) == ({"x": "y"}, {"a": "b"})


def test_listing_by_prefix_start_and_limit(objects: Objects) -> None:
    for key in ("a", "b/1", "b/2", "b/3", "c"):
        objects.put("bucket", key, b"")

    def keys(**options: object) -> str:
        return " ".join(s.key for s in objects.list("bucket", **options))  # type: ignore[arg-type]

    assert keys(prefix="b/") == "b/1 b/2 b/3"
    assert keys(prefix="b/", start_after="b/1") == "b/2 b/3"
    assert keys(start_after="b/2", limit=1) == "b/3"
    assert keys(limit=0) == ""
    page = objects.page("bucket", Listing(delimiter="/"))
    assert ([s.key for s in page.entries], page.prefixes) == (["a", "c"], ["b/"])


def test_listing_goes_on_over_many_pages(objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wildsage.store.objects.store._PAGE", 3)
    for i in range(10):
        objects.put("bucket", str(i), b"")
    assert [s.key for s in objects.list("bucket")] == list("0123456789")
    assert [s.key for s in objects.list("bucket", limit=7)] == list("0123456")


def test_buckets(objects: Objects) -> None:
    made = objects.create_bucket(Scope("1" * 12, "eu-west-1"), "other")
    assert objects.find_bucket("other") == made
    assert [b.name for b in objects.list_buckets("1" * 12)] == ["other"]
    with pytest.raises(BucketExists) as caught:
        objects.create_bucket(Scope(), "other")
    assert caught.value.account == "1" * 12
    objects.tag_bucket("other", {"a": "b"})
    assert objects.bucket("other").tags == {"a": "b"}
    objects.put("other", "k", b"")
    with pytest.raises(BucketNotEmpty):
        objects.delete_bucket("other")
    objects.delete("other", "k")
    objects.uploads.create("other", "k", Attributes(), owner="me")
    objects.delete_bucket("other")
    assert objects.find_bucket("other") is None
    assert files(objects) == 0
    with pytest.raises(NoSuchBucket):
        objects.delete_bucket("other")


def test_sweeping_keeps_all_that_rows_name(objects: Objects) -> None:
    objects.put("bucket", "k", b"data")
    upload = objects.uploads.create("bucket", "u", Attributes(), owner="me")
    for number, size in ((1, 10), (2, 20)):
        with objects.uploads.part(upload, number, size) as writer:
            writer.write(b"x" * size)
            objects.uploads.commit_part(upload, number, writer)
    orphan = objects._bodies.path("0" * 32)
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"half")
    assert objects.sweep() == 1
    assert files(objects) == 3  # the object, the parts' common file, the part that did not fit


def test_a_failed_commit_removes_the_body(
    objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("cannot commit")

    monkeypatch.setattr("wildsage.store.objects.index.replace_object", fail)
    with pytest.raises(OSError, match="cannot commit"):
        objects.put("bucket", "k", b"data")
    assert files(objects) == 0


def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    for expected in (b"", b"first"):
        database = Database(f"sqlite:///{tmp_path / 'test.db'}")
        database.migrate()
        store = Objects(database, tmp_path / "objects")
        if expected:
            assert store.head("bucket", "k").path.read_bytes() == expected
        else:
            store.create_bucket(Scope(), "bucket")
            store.put("bucket", "k", b"first")
        store.close()
        database.close()
