"""Signature Version 4: who signed a request, and did they sign this one.

    claim = read_claim(...)      what the request says of itself: key, scope, headers, signature
    signed = verify(claim, ...)  the claim holds: the credential, and what chunks are signed with

`verify_request` is both in one, for the data path. A claim comes from the Authorization header or,
presigned, from the query string. S3 has error codes and a canonical path of its own.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_tz
from functools import lru_cache
from hashlib import sha256
from hmac import compare_digest
from hmac import digest as hmac_digest
from time import gmtime, strftime
from typing import NoReturn
from urllib.parse import quote, unquote

from wildsage.wire.context import Credential, CredentialLookup
from wildsage.wire.errors import ApiError

ALGORITHM = "AWS4-HMAC-SHA256"
EMPTY_SHA256 = sha256(b"").hexdigest()
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
MAX_SKEW = 15 * 60
MAX_EXPIRES = 7 * 24 * 3600

_SCOPE_PART = re.compile(r"[a-z0-9-]{1,64}")
_TIMESTAMP = re.compile(r"[0-9]{8}T[0-9]{6}Z", re.ASCII)
_SHA256_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request says about its own signature; nothing of it is verified."""

    access_key: str
    date: str
    region: str
    service: str
    timestamp: str
    signed_headers: str
    signature: str
    token: str | None
    expires: int | None = None  # of a presigned request, in seconds
    in_query: bool = False


@dataclass(frozen=True, slots=True)
class Signed:
    """A verified request: whose it is, its scope, and what the signatures of its chunks follow."""

    credential: Credential
    date: str
    region: str
    service: str
    timestamp: str
    signature: str
    signing_key: bytes
    payload: str  # the declared SHA-256 of the body, UNSIGNED-PAYLOAD or a STREAMING-… mark

    @property
    def scope(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


def verify_request(
    method: str,
    raw_path: str,
    query_string: str,
    headers: Mapping[str, str],
    body_sha256: str | None,
    lookup: CredentialLookup,
    now: float,
) -> Signed:
    """Read and verify in one step; ApiError says what is wrong with the signature."""
    claim = read_claim(query_string, headers)
    if claim is None:
        raise missing()
    return verify(claim, method, raw_path, query_string, headers, body_sha256, lookup, now)


# ---- reading the claim


def read_claim(query_string: str, headers: Mapping[str, str]) -> Claim | None:
    """The request's claim, or None when it is not signed with version 4."""
    authorization = headers.get("authorization")
    if authorization is not None and authorization.startswith("AWS4-"):
        return _claim_of_header(authorization, headers)
    if "X-Amz-Algorithm=" in query_string:
        return _claim_of_query(query_string)
    return None


def _claim_of_header(authorization: str, headers: Mapping[str, str]) -> Claim:
    algorithm, _, rest = authorization.partition(" ")
    parts = {}
    for part in rest.split(","):
        name, _, value = part.strip().partition("=")
        parts[name] = value
    try:
        credential, signature = parts["Credential"], parts["Signature"]
        signed_headers = parts["SignedHeaders"]
    except KeyError as missing_part:
        raise _incomplete(f"Authorization header requires {missing_part} parameter.") from None
    access_key, date, region, service = _credential(credential)
    if algorithm != ALGORITHM:
        raise _incomplete(f"Unsupported AWS 'algorithm': '{algorithm}'.", service)
    timestamp = headers.get("x-amz-date") or _from_http_date(headers.get("date", ""))
    token = headers.get("x-amz-security-token")
    return Claim(access_key, date, region, service, timestamp, signed_headers, signature, token)


def _claim_of_query(query_string: str) -> Claim:
    pairs = [part.partition("=") for part in query_string.split("&")]
    values = {name: unquote(value) for name, _, value in pairs if name.startswith("X-Amz-")}
    access_key, date, region, service = _credential(values.get("X-Amz-Credential", ""))
    required = ("X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Signature", "X-Amz-Expires")
    if values.get("X-Amz-Algorithm") != ALGORITHM or any(not values.get(name) for name in required):
        raise _bad_parameters(
            "Query-string authentication version 4 requires the X-Amz-Algorithm, "
            "X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and "
            "X-Amz-Expires parameters.",
            service,
        )
    return Claim(
        access_key,
        date,
        region,
        service,
        values["X-Amz-Date"],
        values["X-Amz-SignedHeaders"],
        values["X-Amz-Signature"],
        values.get("X-Amz-Security-Token"),
        _expires(values["X-Amz-Expires"], service),
        in_query=True,
    )


@lru_cache(maxsize=1024)
def _credential(text: str) -> tuple[str, str, str, str]:
    """Access key, date, region and service out of `AKIA…/20260101/us-east-1/s3/aws4_request`."""
    parts = text.rsplit("/", 4)
    if len(parts) != 5 or parts[4] != "aws4_request" or not parts[0] or not parts[1].isdecimal():
        raise _incomplete(f"Credential must have exactly 5 slash-delimited elements, got: {text!r}")
    access_key, date, region, service, _ = parts
    if not _SCOPE_PART.fullmatch(region) or not _SCOPE_PART.fullmatch(service):
        raise _incomplete(f"Credential should be scoped to a valid region and service: {text!r}")
    return access_key, date, region, service


def _expires(text: str, service: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise _bad_parameters("X-Amz-Expires should be a number", service)
    if int(text) > MAX_EXPIRES:
        raise _bad_parameters(
            f"X-Amz-Expires must be less than a week (in seconds) that is {MAX_EXPIRES}", service
        )
    return int(text)


def _from_http_date(text: str) -> str:
    """A Date header as the timestamp that was signed; empty when it is none."""
    try:
        fields = parsedate_tz(text)
        seconds = calendar.timegm(fields[:9]) - (fields[9] or 0) if fields else None
        return strftime("%Y%m%dT%H%M%SZ", gmtime(seconds)) if seconds is not None else ""
    except (ValueError, OverflowError):
        return ""


# ---- verifying it


def verify(
    claim: Claim,
    method: str,
    raw_path: str,
    query_string: str,
    headers: Mapping[str, str],
    body_sha256: str | None,
    lookup: CredentialLookup,
    now: float,
) -> Signed:
    """Hold the claim against the request; ApiError says what does not fit."""
    credential = lookup(claim.access_key)
    if credential is None:
        raise unknown_key(claim.access_key, claim.service)
    check_token(credential, claim.token, claim.service, now)
    _check_time(claim, now)
    _check_signed_headers(claim, headers)
    payload = _payload(claim, headers, body_sha256)
    key = signing_key(credential.secret_key, claim.date, claim.region, claim.service)
    for path, query in _canonical_forms(claim, raw_path, query_string):
        canonical = "\n".join(
            (method, path, query, _canonical_headers(claim, headers), claim.signed_headers, payload)
        )
        if compare_digest(_sign(claim, key, canonical), claim.signature.encode("latin-1")):
            return Signed(
                credential,
                claim.date,
                claim.region,
                claim.service,
                claim.timestamp,
                claim.signature,
                key,
                payload,
            )
    raise mismatch(claim.access_key, claim.service)


def _sign(claim: Claim, key: bytes, canonical: str) -> bytes:
    hashed = sha256(canonical.encode("latin-1", "replace")).hexdigest()
    text = (
        f"{ALGORITHM}\n{claim.timestamp}\n"
        f"{claim.date}/{claim.region}/{claim.service}/aws4_request\n{hashed}"
    )
    return hmac_digest(key, text.encode(), "sha256").hex().encode()


@lru_cache(maxsize=4096)
def signing_key(secret_key: str, date: str, region: str, service: str) -> bytes:
    """The key of one day, region and service; the same for thousands of requests."""
    key = f"AWS4{secret_key}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac_digest(key, part.encode(), "sha256")
    return key


def _canonical_headers(claim: Claim, headers: Mapping[str, str]) -> str:
    lines = [f"{name}:{_trim(headers.get(name, ''))}\n" for name in claim.signed_headers.split(";")]
    return "".join(lines)


def _trim(value: str) -> str:
    return " ".join(value.split()) if "  " in value or "\t" in value else value.strip()


def _canonical_forms(claim: Claim, raw_path: str, query_string: str) -> Iterator[tuple[str, str]]:
    """The path and query as they may have been signed: as sent first, then as others encode them.

    Clients differ in what they leave unencoded on the wire, and in whether they encode it twice.
    """
    pairs = [part.partition("=")[::2] for part in query_string.split("&") if part]
    if claim.in_query:
        pairs = [pair for pair in pairs if pair[0] != "X-Amz-Signature"]
    if claim.service == "s3":
        path, other = raw_path, quote(unquote(raw_path, "latin-1"), "/~", "latin-1")
    else:
        other = _without_dots(raw_path)
        path = quote(other, "/~", "latin-1")
    yield path, _canonical_query(pairs)
    yield other, _canonical_query([(_encoded(name), _encoded(value)) for name, value in pairs])


def _encoded(text: str) -> str:
    return quote(unquote(text, "latin-1"), "-_.~", "latin-1")


def _canonical_query(pairs: list[tuple[str, str]]) -> str:
    return "&".join([f"{name}={value}" for name, value in sorted(pairs)]) if pairs else ""


def _without_dots(path: str) -> str:
    """`/a/../b//c` as `/b/c`: every service but S3 signs the path in this form."""
    if "." not in path and "//" not in path:
        return path or "/"
    kept: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del kept[-1:]
        elif part and part != ".":
            kept.append(part)
    return "/" + "/".join(kept) + ("/" if kept and path.endswith("/") else "")


def _payload(claim: Claim, headers: Mapping[str, str], body_sha256: str | None) -> str:
    """What stands for the body in the canonical request."""
    declared = headers.get("x-amz-content-sha256")
    if declared is None:
        if claim.service == "s3" and claim.in_query:
            return UNSIGNED_PAYLOAD
        return EMPTY_SHA256 if body_sha256 is None else body_sha256
    if not (declared == UNSIGNED_PAYLOAD or declared.startswith("STREAMING-")):
        if not _SHA256_HEX.fullmatch(declared):
            raise ApiError(
                "InvalidArgument",
                "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, "
                "STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, "
                "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.",
            )
        if body_sha256 is not None and not compare_digest(declared, body_sha256):
            raise content_mismatch()
    return declared


# ---- what else must hold


def check_token(credential: Credential, token: str | None, service: str, now: float) -> None:
    """A session's credential needs its token; a long-term one must come without."""
    expected = credential.session_token
    if (expected or "") != (token or "") and not compare_digest(
        (expected or "").encode(), (token or "").encode("latin-1", "replace")
    ):
        if service == "s3":
            text = "The provided token is malformed or otherwise invalid."
            raise ApiError("InvalidToken", text)
        raise unknown_key(credential.access_key, service)
    if credential.expires is not None and now >= credential.expires:
        if service == "s3":
            raise ApiError("ExpiredToken", "The provided token has expired.")
        raise ApiError("ExpiredToken", "The security token included in the request is expired", 403)


def _check_time(claim: Claim, now: float) -> None:
    signed_at = _seconds(claim.timestamp)
    if signed_at is None or not claim.timestamp.startswith(claim.date):
        raise _incomplete(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date "
            f"from HTTP: '{claim.date}' != '{claim.timestamp[:8]}'.",
            claim.service,
        )
    if claim.expires is not None:
        if now > signed_at + claim.expires:
            _expired(claim, now)
        if signed_at <= now + MAX_SKEW:
            return
    elif abs(now - signed_at) <= MAX_SKEW:
        return
    _skewed(claim, now)


@lru_cache(maxsize=256)
def _seconds(timestamp: str) -> int | None:
    if not _TIMESTAMP.fullmatch(timestamp):
        return None
    parts = (timestamp[:4], timestamp[4:6], timestamp[6:8])
    clock = (timestamp[9:11], timestamp[11:13], timestamp[13:15])
    try:
        return calendar.timegm(tuple(int(part) for part in parts + clock))
    except ValueError:
        return None


def _check_signed_headers(claim: Claim, headers: Mapping[str, str]) -> None:
    """An `x-amz-` header that the signature does not cover may have been added by anybody."""
    signed = claim.signed_headers.split(";")
    if "host" not in signed:
        raise _incomplete(
            "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
            claim.service,
        )
    if claim.service == "s3":
        unsigned = [n for n in headers if n.startswith("x-amz-") and n not in signed]
    else:
        unsigned = ["x-amz-target"] if {"x-amz-target"} & headers.keys() - set(signed) else []
    if unsigned:
        raise ApiError(
            "AccessDenied",
            "There were headers present in the request which were not signed",
            403,
            fields={"HeadersNotSigned": ", ".join(unsigned)},
        )


# ---- the errors, with AWS's texts; S3 words them differently


def missing() -> ApiError:
    return ApiError("MissingAuthenticationToken", "Request is missing Authentication Token", 403)


def unknown_key(access_key: str, service: str) -> ApiError:
    if service == "s3":
        return ApiError(
            "InvalidAccessKeyId",
            "The AWS Access Key Id you provided does not exist in our records.",
            403,
            fields={"AWSAccessKeyId": access_key},
        )
    text = "The security token included in the request is invalid."
    return ApiError("InvalidClientTokenId", text, 403)


def mismatch(access_key: str, service: str) -> ApiError:
    start = "The request signature we calculated does not match the signature you provided. "
    if service == "s3":
        text = start + "Check your key and signing method."
        fields = {"AWSAccessKeyId": access_key}
        return ApiError("SignatureDoesNotMatch", text, 403, fields=fields)
    text = (
        start + "Check your AWS Secret Access Key and signing method. "
        "Consult the service documentation for details."
    )
    return ApiError("SignatureDoesNotMatch", text, 403)


def content_mismatch() -> ApiError:
    text = "The provided 'x-amz-content-sha256' header does not match what was computed."
    return ApiError("XAmzContentSHA256Mismatch", text)


def _incomplete(text: str, service: str = "") -> ApiError:
    if service == "s3":
        return ApiError(
            "AuthorizationHeaderMalformed", f"The authorization header is malformed; {text}"
        )
    return ApiError("IncompleteSignature", text, 403)


def _bad_parameters(text: str, service: str) -> ApiError:
    if service == "s3":
        return ApiError("AuthorizationQueryParametersError", text)
    return ApiError("IncompleteSignature", text, 403)


def _expired(claim: Claim, now: float) -> NoReturn:
    if claim.service == "s3":
        raise ApiError("AccessDenied", "Request has expired", 403)
    text = f"Signature expired: {claim.timestamp} is now earlier than {_stamp(now)}"
    raise ApiError("SignatureDoesNotMatch", text, 403)


def _skewed(claim: Claim, now: float) -> NoReturn:
    if claim.service == "s3":
        text = "The difference between the request time and the current time is too large."
        fields = {"RequestTime": claim.timestamp, "ServerTime": _stamp(now)}
        raise ApiError("RequestTimeTooSkewed", text, 403, fields=fields)
    early, limit = (_seconds(claim.timestamp) or 0) < now, _stamp(now)
    text = (
        f"Signature expired: {claim.timestamp} is now earlier than {_stamp(now - MAX_SKEW)} "
        f"({limit} - 15 min.)"
        if early
        else f"Signature not yet current: {claim.timestamp} is still later than "
        f"{_stamp(now + MAX_SKEW)} ({limit} + 15 min.)"
    )
    raise ApiError("SignatureDoesNotMatch", text, 403)


def _stamp(seconds: float) -> str:
    return strftime("%Y%m%dT%H%M%SZ", gmtime(seconds))
