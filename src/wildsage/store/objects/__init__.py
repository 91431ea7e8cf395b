"""The object store: what S3 serves, and where jobs read their input and leave their output.

store.py       Objects: buckets and objects, the way in for everyone
multipart.py   uploads in parts
index.py       the SQL; tables.py, documents.py: columns, and dataclasses to and from JSON
bodies.py      files: made durable before they are named, removed after; writer.py writes them
listing.py     pages with common prefixes
checksums.py   MD5, SHA and CRC; crc.py: CRC-32C and CRC-64/NVME in numpy
transactions.py  group commit
"""

from __future__ import annotations

from wildsage.store.objects.store import Objects
from wildsage.store.objects.types import Bucket, StoredObject

__all__ = ["Bucket", "Objects", "StoredObject"]
