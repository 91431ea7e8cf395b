"""Which S3 bucket a host name names: `bucket.s3.us-west-2.amazonaws.com`, `bucket.localhost`."""

from __future__ import annotations

import re
from collections.abc import Sequence

# s3, s3.<region>, s3-<region>, s3.dualstack.<region>, s3-accelerate, s3-fips.dualstack.<region>
_AWS_HOST = re.compile(r"(?:(.+)\.)?s3(?:[.-][a-z0-9-]+){0,3}\.amazonaws\.(?:com|com\.cn|eu)")
_ADDRESS = re.compile(r"[0-9.]+|\[.*\]")


def bucket_of_host(host: str, base_hosts: Sequence[str]) -> str | None:
    """The bucket in front of an S3 host or of one of our own; None when the path has it."""
    if _ADDRESS.fullmatch(host):
        return None
    match = _AWS_HOST.fullmatch(host)
    if match:
        return match[1]
    for base in base_hosts:
        if host.endswith("." + base):
            name = host[: -len(base) - 1]
            return None if name == "s3" else name.removesuffix(".s3")
    return None
