"""Amazon S3 over the object store: one module per family of operations."""

from __future__ import annotations

from wildsage.services.s3 import buckets, copying, listing, multipart, objects, tagging

OPERATIONS = {
    **buckets.OPERATIONS,
    **copying.OPERATIONS,
    **listing.OPERATIONS,
    **multipart.OPERATIONS,
    **objects.OPERATIONS,
    **tagging.OPERATIONS,
}
