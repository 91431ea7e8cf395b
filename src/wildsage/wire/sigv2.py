"""Signature Version 2 of presigned S3 URLs: `?AWSAccessKeyId=…&Expires=…&Signature=…`.

boto3 still writes these whenever it presigns for an endpoint of one's own.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from hmac import compare_digest
from hmac import digest as hmac_digest

from wildsage.arns import DEFAULT_REGION
from wildsage.wire import sigv4
from wildsage.wire.context import CredentialLookup
from wildsage.wire.errors import ApiError
from wildsage.wire.request import HttpRequest, decode_form

# The query parameters that name a part of a resource and are therefore signed.
_SUBRESOURCES = re.compile(
    "accelerate|acl|analytics|cors|defaultObjectAcl|delete|encryption|inventory|legal-hold|"
    "lifecycle|location|logging|metrics|notification|object-lock|partNumber|policy|replication|"
    "requestPayment|response-cache-control|response-content-disposition|"
    "response-content-encoding|response-content-language|response-content-type|response-expires|"
    "restore|retention|select|select-type|storageClass|tagging|torrent|uploadId|uploads|"
    "versionId|versioning|versions|website"
)
_STANDARD = ("content-md5", "content-type")


def is_presigned(query: str) -> bool:
    return "AWSAccessKeyId=" in query and "Signature=" in query


def verify(
    request: HttpRequest, bucket: str | None, lookup: CredentialLookup, now: float
) -> sigv4.Signed:
    """Verify a presigned request; `bucket` is the one named by the host, if any."""
    values = dict(decode_form(request.query.replace("+", "%2B")))
    access_key, signature = values.get("AWSAccessKeyId", ""), values.get("Signature", "")
    credential = lookup(access_key)
    if credential is None:
        raise sigv4.unknown_key(access_key, "s3")
    sigv4.check_token(credential, values.get("x-amz-security-token"), "s3", now)
    expires = values.get("Expires", "")
    if not expires.isdecimal() or len(expires) > 12:
        text = f"Invalid date (should be seconds since epoch): {expires}"
        raise ApiError("AccessDenied", text, 403)
    if now > int(expires):
        raise ApiError("AccessDenied", "Request has expired", 403)
    signed = _string_to_sign(request, bucket, values, expires)
    expected = b64encode(hmac_digest(credential.secret_key.encode(), signed, "sha1"))
    if not compare_digest(expected, signature.encode("latin-1", "replace")):
        raise sigv4.mismatch(access_key, "s3")
    return sigv4.Signed(
        credential, "", DEFAULT_REGION, "s3", "", signature, b"", sigv4.UNSIGNED_PAYLOAD
    )


def _string_to_sign(
    request: HttpRequest, bucket: str | None, values: Mapping[str, str], expires: str
) -> bytes:
    """What was signed. A header may have moved into the query string when the URL was made."""
    given = {**{k: v for k, v in values.items() if k == k.lower()}, **request.headers}
    lines = [request.method, *(given.get(name, "").strip() for name in _STANDARD), expires]
    lines += [f"{k}:{given[k].strip()}" for k in sorted(given) if k.startswith("x-amz-")]
    resource = (f"/{bucket}" if bucket else "") + request.path
    parts = []
    for part in sorted(request.query.split("&"), key=lambda p: p.partition("=")[0]):
        name, equals, value = part.partition("=")
        if _SUBRESOURCES.fullmatch(name):
            parts.append(name + (f"={_decoded(value)}" if equals else ""))
    lines.append(resource + ("?" + "&".join(parts) if parts else ""))
    return "\n".join(lines).encode("utf-8")


def _decoded(value: str) -> str:
    return decode_form(f"v={value.replace('+', '%2B')}")[0][1]
