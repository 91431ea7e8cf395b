"""wildsage's own certificate authority, with which the proxy answers for AWS's host names.

    authority = Authority.at(home / "certificates")   made once, then read; safe against two at once
    authority.bundle                                  what clients trust: theirs, and ours
    authority.context("sts.amazonaws.com")            a TLS context with a certificate for the host

The CA is good for AWS's domains only (a critical name constraint says so), so whoever trusts the
bundle trusts it for nothing else. Its key never leaves the folder.
"""

from __future__ import annotations

import fcntl
import os
import ssl
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from wildsage import clock
from wildsage.proxy.hosts import DOMAINS

AUTHORITY_DAYS = 3650
HOST_DAYS = 397  # the longest that clients accept
RENEW = 7 * 86400.0
MAX_CONTEXTS = 512
_BUNDLE_VARIABLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE")
_USAGES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
    "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip


class Authority:
    """A certificate authority in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = _load_key(folder / "ca-key.pem")
        self.certificate = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
        self._host_key = ec.generate_private_key(ec.SECP256R1())
        self._contexts: OrderedDict[str, tuple[float, ssl.SSLContext]] = OrderedDict()
        self._lock = threading.Lock()

    @classmethod
    def at(cls, folder: Path, environment: Mapping[str, str] | None = None) -> Authority:
        """The folder's authority, made if there is none, with the bundle brought up to date."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(folder / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not _usable(folder):
                _create(folder)
            authority = cls(folder)
            environment = os.environ if environment is None else environment
            _write_bundle(folder, environment)
        return authority

    @property
    def path(self) -> Path:
        """The authority's own certificate."""
        return self._folder / "ca.pem"

    @property
    def bundle(self) -> Path:
        """Everything the machine trusted before, and the authority."""
        return self._folder / "bundle.pem"

    def context(self, host: str) -> ssl.SSLContext:
        """A server's TLS context with a certificate for `host`, made at first need and kept."""
        with self._lock:
            expires, context = self._contexts.get(host, (0.0, None))
            if context is None or expires - RENEW < clock.now():
                context = self._make_context(host)
                expires = clock.now() + HOST_DAYS * 86400
                self._contexts[host] = expires, context
            self._contexts.move_to_end(host)
            while len(self._contexts) > MAX_CONTEXTS:
                self._contexts.popitem(last=False)
            return context

    def _make_context(self, host: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["http/1.1"])
        pem = self._mint(host).public_bytes(serialization.Encoding.PEM)
        # The ssl module reads certificates from files only.
        with tempfile.NamedTemporaryFile(dir=self._folder, prefix=".host-") as file:
            file.write(pem + self.path.read_bytes() + _key_pem(self._host_key))
            file.flush()
            context.load_cert_chain(file.name)
        return context

    def _mint(self, host: str) -> x509.Certificate:
        name = host if len(host) <= 64 else "wildsage"
        authority_key = self._key.public_key()
        return (
            _builder(name, self.certificate.subject, self._host_key, HOST_DAYS)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage("digital_signature"), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )


# ---- making one


def _create(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    permitted: list[x509.GeneralName] = [x509.DNSName(domain) for domain in DOMAINS]
    name = f"wildsage {os.urandom(4).hex()}"
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        _builder(name, subject, key, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage("key_cert_sign", "crl_sign"), critical=True)
        .add_extension(x509.NameConstraints(permitted, None), critical=True)
        .sign(key, hashes.SHA256())
    )
    _write(folder / "ca-key.pem", _key_pem(key), 0o600)
    _write(folder / "ca.pem", certificate.public_bytes(serialization.Encoding.PEM), 0o644)


def _builder(
    common_name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int
) -> x509.CertificateBuilder:
    """What the authority's certificate and a host's have in common."""
    # A day back, so that a clock that is a little slow does not matter.
    start = datetime.fromtimestamp(clock.now(), UTC) - timedelta(days=1)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*uses: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{usage: usage in uses for usage in _USAGES})


def _usable(folder: Path) -> bool:
    """Whether the folder holds a matching key and certificate that are good for a while yet."""
    try:
        key = _load_key(folder / "ca-key.pem")
        certificate = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
    except (OSError, ValueError):
        return False
    lasts = certificate.not_valid_after_utc.timestamp() - HOST_DAYS * 86400 > clock.now()
    return lasts and certificate.public_key() == key.public_key()


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{path} is not an elliptic-curve key")
    return key


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


# ---- what clients trust


def _write_bundle(folder: Path, environment: Mapping[str, str]) -> None:
    ours = (folder / "ca.pem").read_bytes()
    bundle = folder / "bundle.pem"
    if _names(environment, bundle) and bundle.is_file() and ours in bundle.read_bytes():
        return  # this environment is our own doing, and what it was before is in the bundle
    source = trusted_before(environment, bundle)
    theirs = source.read_bytes() if source else b""
    wanted = theirs + (b"" if theirs.endswith(b"\n") or not theirs else b"\n") + ours
    if not bundle.exists() or bundle.read_bytes() != wanted:
        _write(bundle, wanted, 0o644)


def _names(environment: Mapping[str, str], bundle: Path) -> bool:
    paths = [Path(environment[name]) for name in _BUNDLE_VARIABLES if environment.get(name)]
    return bundle.resolve() in (path.resolve() for path in paths)


def trusted_before(environment: Mapping[str, str], ours: Path) -> Path | None:
    """The bundle this machine's clients use by themselves; never our own."""
    candidates = [Path(environment[name]) for name in _BUNDLE_VARIABLES if environment.get(name)]
    try:
        import certifi

        candidates.append(Path(certifi.where()))
    except ImportError:
        pass
    system = ssl.get_default_verify_paths().cafile
    candidates += [Path(system)] if system else []
    for path in candidates:
        if path.is_file() and path.resolve() != ours.resolve():
            return path
    return None


def _write(path: Path, data: bytes, mode: int) -> None:
    """Write as a whole or not at all, never readable by more than `mode` allows."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
