from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from wildsage.arns import Scope
from wildsage.store.database import Database
from wildsage.store.objects import Objects, StoredObject
from wildsage.store.objects.errors import (
    BadChecksum,
    InvalidPart,
    InvalidPartOrder,
    NoSuchUpload,
    PartTooSmall,
    PreconditionFailed,
    WrongSize,
)
from wildsage.store.objects.multipart import MINIMUM_PART
from wildsage.store.objects.types import Attributes, Condition, Part, PartChoice, Upload

SIZE = MINIMUM_PART
PIECES = {number: os.urandom(32) * (SIZE // 32) for number in range(1, 5)}


def begin(objects: Objects, **options: str) -> Upload:
    return objects.uploads.create("bucket", "k", Attributes(), owner="arn:me", **options)


def send(
    objects: Objects, upload: Upload, number: int, data: bytes, length: int | None = -1
) -> Part:
    announced = len(data) if length == -1 else length
    algorithms = [upload.checksum_algorithm] if upload.checksum_algorithm else []
    with objects.uploads.part(upload, number, announced, algorithms) as writer:
        writer.write(data)
        return objects.uploads.commit_part(upload, number, writer)


def complete(objects: Objects, upload: Upload, parts: list[Part]) -> StoredObject:
    choices = [PartChoice(part.number, part.etag) for part in parts]
    return objects.complete(upload, choices)


def inode(objects: Objects, body: str) -> int:
    return objects._bodies.path(body).stat().st_ino


def files(objects: Objects) -> int:
    objects._bodies.empty_trash()
    return sum(path.is_file() for path in objects._bodies._root.rglob("*"))


@pytest.mark.parametrize("order", [[1, 2, 3], [3, 1, 2], [2, 3, 1]])
def test_parts_of_one_size_are_never_copied(objects: Objects, order: list[int]) -> None:
    upload = begin(objects)
    data = {1: PIECES[1], 2: PIECES[2], 3: b"the rest"}
    parts = {number: send(objects, upload, number, data[number]) for number in order}
    expected = inode(objects, upload.body)
    stored = complete(objects, upload, [parts[number] for number in sorted(parts)])
    assert stored.path.stat().st_ino == expected
    assert stored.path.read_bytes() == PIECES[1] + PIECES[2] + b"the rest"
    assert stored.etag.endswith("-3")
    assert files(objects) == 1
    assert [part.size for part in objects.parts(stored)] == [SIZE, SIZE, 8]
    with pytest.raises(NoSuchUpload):
        objects.uploads.get("bucket", "k", upload.id)


@pytest.mark.parametrize(
    "pieces",
    [
        {1: PIECES[1], 2: PIECES[2] + b"longer", 3: PIECES[3]},
        {2: PIECES[2], 5: PIECES[3], 9: b"end"},
        {1: PIECES[1] + b"odd", 2: PIECES[2], 3: b"end"},
        {10000: b"only"},
        {1: b""},
    ],
)
def test_parts_of_any_size_and_number(objects: Objects, pieces: dict[int, bytes]) -> None:
    upload = begin(objects)
    parts = [send(objects, upload, number, data) for number, data in pieces.items()]
    stored = complete(objects, upload, parts)
    assert stored.path.read_bytes() == b"".join(pieces.values())
    assert stored.size == stored.path.stat().st_size
    assert files(objects) == 1


def test_a_part_without_a_length(objects: Objects) -> None:
    upload = begin(objects)
    parts = [send(objects, upload, 1, PIECES[1]), send(objects, upload, 2, b"end", None)]
    assert complete(objects, upload, parts).path.read_bytes() == PIECES[1] + b"end"


def test_a_part_that_is_sent_again(objects: Objects) -> None:
    upload = begin(objects)
    send(objects, upload, 1, PIECES[1])
    last = send(objects, upload, 2, b"end")
    send(objects, upload, 1, PIECES[2])
    first = send(objects, upload, 1, PIECES[3])
    assert complete(objects, upload, [first, last]).path.read_bytes() == PIECES[3] + b"end"
    assert files(objects) == 1


def test_a_part_that_broke_off_may_come_again(objects: Objects) -> None:
    upload = begin(objects)
    with pytest.raises(RuntimeError), objects.uploads.part(upload, 1, SIZE) as writer:
        writer.write(b"half")
        raise RuntimeError
    assert objects.uploads.parts(upload) == []
    part = send(objects, upload, 1, PIECES[1])
    assert part.body == upload.body
    assert complete(objects, upload, [part]).path.read_bytes() == PIECES[1]


def test_more_bytes_than_announced(objects: Objects) -> None:
    upload = begin(objects)
    with pytest.raises(WrongSize):
        send(objects, upload, 1, b"too long", 3)
    assert objects.uploads.parts(upload) == []


def test_completing_beside_a_writer_makes_a_new_body(objects: Objects) -> None:
    upload = begin(objects)
    parts = [send(objects, upload, n, PIECES[n]) for n in (1, 2)]
    with pytest.raises(NoSuchUpload), objects.uploads.part(upload, 3, SIZE) as writer:
        stored = complete(objects, upload, parts)
        writer.write(PIECES[3])
        objects.uploads.commit_part(upload, 3, writer)
    assert stored.path.read_bytes() == PIECES[1] + PIECES[2]
    assert files(objects) == 1


def test_only_some_parts_are_chosen(objects: Objects) -> None:
    upload = begin(objects)
    parts = [send(objects, upload, n, PIECES[n]) for n in (1, 2, 3)]
    chosen = [PartChoice(part.number, part.etag) for part in (parts[0], parts[2])]
    objects.put("bucket", "k", b"old")
    with pytest.raises(PreconditionFailed):
        objects.complete(upload, chosen, condition=Condition(absent=True))
    assert files(objects) == 2
    stored = complete(objects, upload, parts)
    assert stored.path.read_bytes() == PIECES[1] + PIECES[2] + PIECES[3]
    assert files(objects) == 1


def test_what_a_complete_may_not_say(objects: Objects) -> None:
    upload = begin(objects, checksum_algorithm="CRC32", checksum_type="FULL_OBJECT")
    small, big = send(objects, upload, 1, b"small"), send(objects, upload, 2, PIECES[1])
    with pytest.raises(InvalidPartOrder):
        complete(objects, upload, [big, small])
    with pytest.raises(InvalidPart):
        objects.complete(upload, [PartChoice(1, "0" * 32)])
    with pytest.raises(InvalidPart):
        objects.complete(upload, [PartChoice(7, small.etag)])
    with pytest.raises(InvalidPart):
        objects.complete(upload, [PartChoice(1, small.etag, {"CRC32": "AAAAAA=="})])
    with pytest.raises(PartTooSmall):
        complete(objects, upload, [small, big])
    with pytest.raises(WrongSize):
        objects.complete(upload, [PartChoice(1, small.etag)], size=4)
    with pytest.raises(BadChecksum):
        objects.complete(upload, [PartChoice(1, small.etag)], declared={"CRC32": "AAAAAA=="})
    assert complete(objects, upload, [small]).size == 5


@pytest.mark.parametrize("kind", ["COMPOSITE", "FULL_OBJECT"])
def test_checksums_of_the_whole(objects: Objects, kind: str) -> None:
    upload = begin(objects, checksum_algorithm="CRC32C", checksum_type=kind)
    parts = [send(objects, upload, 1, PIECES[1]), send(objects, upload, 2, b"end")]
    stored = complete(objects, upload, parts)
    assert stored.checksum_type == kind
    assert stored.checksums["CRC32C"].endswith("-2") == (kind == "COMPOSITE")
    if kind == "FULL_OBJECT":
        with objects.writer(["CRC32C"]) as writer:
            writer.write(stored.path.read_bytes())
            assert writer.digests.checksums() == stored.checksums


def test_a_copy_has_the_etag_of_one_piece(objects: Objects) -> None:
    upload = begin(objects)
    stored = complete(objects, upload, [send(objects, upload, 1, PIECES[1])])
    copy = objects.copy(stored, "bucket", "copy", Attributes())
    assert copy.etag == hashlib.md5(PIECES[1]).hexdigest()


def test_aborting(objects: Objects) -> None:
    upload = begin(objects)
    send(objects, upload, 1, PIECES[1])
    send(objects, upload, 2, PIECES[2] + b"in a file of its own")
    objects.uploads.abort(upload)
    assert files(objects) == 0
    with pytest.raises(NoSuchUpload):
        objects.uploads.abort(upload)
    with pytest.raises(NoSuchUpload):
        send(objects, upload, 1, b"late")
    assert objects.uploads.under_way("bucket") == []


def test_uploads_are_listed_by_key_and_time(objects: Objects) -> None:
    made = [
        objects.uploads.create("bucket", key, Attributes(), owner="me") for key in ("b", "a", "c/1")
    ]
    assert [u.id for u in objects.uploads.under_way("bucket")] == [
        made[1].id,
        made[0].id,
        made[2].id,
    ]
    assert objects.uploads.under_way("bucket", "c/") == [made[2]]
    with pytest.raises(NoSuchUpload):
        objects.uploads.get("bucket", "a", made[0].id)


def test_parts_at_the_same_time(objects: Objects) -> None:
    upload = begin(objects)
    with ThreadPoolExecutor(2) as pool:
        parts = list(pool.map(lambda n: send(objects, upload, n, PIECES[n]), PIECES))
    stored = complete(objects, upload, parts)
    assert stored.path.read_bytes() == b"".join(PIECES.values())


def test_an_upload_goes_on_after_a_restart(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'test.db'}")
    database.migrate()
    before = Objects(database, tmp_path / "objects")
    before.create_bucket(Scope(), "bucket")
    upload = before.uploads.create("bucket", "k", Attributes(content_type="a/b"), owner="me")
    parts = [send(before, upload, n, PIECES[n]) for n in (1, 2)]
    parts.append(send(before, upload, 4, PIECES[3] + b"more than fits"))
    after = Objects(database, tmp_path / "objects")
    assert after.sweep() == 0
    upload = after.uploads.get("bucket", "k", upload.id)
    assert after.uploads.parts(upload) == parts
    again = send(after, upload, 3, PIECES[4])
    assert again.body == upload.body
    stored = complete(after, upload, [*parts[:2], again, parts[2]])
    expected = PIECES[1] + PIECES[2] + PIECES[4] + PIECES[3] + b"more than fits"
    assert stored.path.read_bytes() == expected
    assert stored.content_type == "a/b"
    database.close()
