from __future__ import annotations

import os
import socket
import ssl
import stat
import subprocess
import sys
from pathlib import Path
from threading import Thread

import certifi
import pytest
from cryptography import x509

from wildsage import clock
from wildsage.proxy.ca import HOST_DAYS, Authority, trusted_before


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_folder_and_its_key_are_private(tmp_path: Path) -> None:
    authority = Authority.at(tmp_path / "certificates", {})
    assert mode(tmp_path / "certificates") == 0o700
    assert mode(tmp_path / "certificates" / "ca-key.pem") == 0o600
    names = {path.name for path in (tmp_path / "certificates").iterdir()}
    assert names == {"ca-key.pem", "ca.pem", "bundle.pem", "lock"}
    assert authority.path.read_bytes() in authority.bundle.read_bytes()


def test_it_is_made_once(tmp_path: Path) -> None:
    first = Authority.at(tmp_path, {}).certificate
    assert Authority.at(tmp_path, {}).certificate == first


def test_two_at_once_make_one(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from wildsage.proxy.ca import Authority;"
        "print(Authority.at(Path(sys.argv[1]), {}).certificate.serial_number)"
    )
    runs = [
        subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    serials = {run.communicate()[0] for run in runs}
    assert len(serials) == 1
    assert all(run.returncode == 0 for run in runs)


def test_what_cannot_be_used_is_made_anew(tmp_path: Path) -> None:
    first = Authority.at(tmp_path, {}).certificate
    (tmp_path / "ca-key.pem").write_text("nonsense")
    second = Authority.at(tmp_path, {}).certificate
    assert second != first
    with clock.using(clock.ManualClock(clock.now() + (3650 - HOST_DAYS) * 86400)):
        assert Authority.at(tmp_path, {}).certificate != second


def test_the_bundle_keeps_what_was_trusted_before(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.pem"
    theirs.write_text("their certificates")
    folder = tmp_path / "certificates"
    authority = Authority.at(folder, {"REQUESTS_CA_BUNDLE": str(theirs)})
    expected = b"their certificates\n" + authority.path.read_bytes()
    assert authority.bundle.read_bytes() == expected
    again = Authority.at(folder, {"AWS_CA_BUNDLE": str(authority.bundle)})
    assert again.bundle.read_bytes() == expected
    plain = Authority.at(folder, {})
    assert plain.bundle.read_bytes().startswith(Path(certifi.where()).read_bytes())


def test_the_bundle_before_is_never_ours(tmp_path: Path) -> None:
    ours = tmp_path / "bundle.pem"
    ours.write_text("x")
    environment = {"AWS_CA_BUNDLE": str(ours), "SSL_CERT_FILE": str(tmp_path / "missing")}
    assert trusted_before(environment, ours) == Path(certifi.where())


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> str:
    """The subject that a client saw and believed."""
    left, right = socket.socketpair()

    def serve() -> None:
        try:
            server.wrap_socket(left, server_side=True).close()
        except OSError:
            left.close()

    thread = Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(right, server_hostname=name) as connection:
            certificate = connection.getpeercert(binary_form=True)
            assert certificate
            return x509.load_der_x509_certificate(certificate).subject.rfc4514_string()
    finally:
        right.close()
        thread.join(10)


@pytest.fixture
def client(authority: Authority) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.bundle))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


@pytest.mark.parametrize(
    "host",
    ["sts.amazonaws.com", "bucket.s3.us-west-2.amazonaws.com", "x.api.aws", "a" * 63 + ".aws"],
)
def test_clients_believe_its_certificates(
    authority: Authority, client: ssl.SSLContext, host: str
) -> None:
    subject = handshake(authority.context(host), client, host)
    assert subject == ("CN=wildsage" if len(host) > 64 else f"CN={host}")
    assert authority.context(host) is authority.context(host)


def test_nobody_believes_it_about_other_hosts(authority: Authority, client: ssl.SSLContext) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        handshake(authority.context("pypi.org"), client, "pypi.org")


def test_certificates_are_renewed_in_time(tmp_path: Path) -> None:
    authority = Authority.at(tmp_path, {})
    first = authority.context("sts.amazonaws.com")
    with clock.using(clock.ManualClock(clock.now() + (HOST_DAYS - 2) * 86400)):
        assert authority.context("sts.amazonaws.com") is not first


def test_no_certificate_is_left_behind(tmp_path: Path) -> None:
    authority = Authority.at(tmp_path, {})
    before = set(os.listdir(tmp_path))
    authority.context("sts.amazonaws.com")
    assert set(os.listdir(tmp_path)) == before
