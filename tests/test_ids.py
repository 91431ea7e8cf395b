from __future__ import annotations

import base64
import re
import uuid

from wildsage import ids


def test_request_ids_are_uuids() -> None:
    assert uuid.UUID(ids.request_id()).version == 4
    assert ids.request_id() != ids.request_id()


def test_keys_look_like_aws_s() -> None:
    assert re.fullmatch(r"AKIA[A-Z2-7]{16}", ids.access_key_id())
    assert re.fullmatch(r"ASIA[A-Z2-7]{16}", ids.access_key_id("ASIA"))
    assert len(ids.secret_key()) == 40
    assert len(base64.b64decode(ids.secret_key())) == 30


def test_a_seed_repeats_everything() -> None:
    with ids.seeded(7):
        first = (ids.request_id(), ids.token(), ids.secret_key())
    with ids.seeded(7):
        assert (ids.request_id(), ids.token(), ids.secret_key()) == first
    assert ids.token() != first[1]
