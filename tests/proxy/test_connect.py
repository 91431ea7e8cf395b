"""The proxy with real clients, and nothing of it leaving for AWS."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import Iterator

import pytest
import requests
import urllib3

from proxy.helpers_proxy import Echo, Loop, listening, proxying
from wildsage.proxy import connect
from wildsage.proxy.ca import Authority
from wildsage.proxy.connect import Proxy

AWS = "https://sts.us-east-1.amazonaws.com/path?query"


@pytest.fixture
def proxy(loop: Loop, authority: Authority, main: int) -> Iterator[Proxy]:
    with proxying(loop, authority, main) as proxy:
        yield proxy


def session_through(proxy: Proxy, authority: Authority) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.verify = str(authority.bundle)
    session.proxies = dict.fromkeys(("http", "https"), f"http://127.0.0.1:{proxy.port}")
    return session


def talk(port: int, data: bytes) -> bytes:
    """Say something to the proxy and hear all it says."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_requests_to_aws_are_answered_here(proxy: Proxy, authority: Authority, echo: Echo) -> None:
    with session_through(proxy, authority) as session:
        for body in (b"hello", b"x" * 3_000_000):
            assert session.post(AWS, data=body).content == b"you said " + body
    assert echo.heads[0].startswith("POST /path?query HTTP/1.1\r\n")
    assert "Host: sts.us-east-1.amazonaws.com\r\n" in echo.heads[0]


def test_urllib3_and_curl_too(proxy: Proxy, authority: Authority) -> None:
    url = f"http://127.0.0.1:{proxy.port}"
    with urllib3.ProxyManager(url, ca_certs=str(authority.bundle)) as manager:
        assert manager.request("GET", "https://bucket.s3.amazonaws.com/").data == b"you said "
    command = ["curl", "-sS", "--max-time", "10", "-x", url, "--cacert", str(authority.bundle), AWS]
    assert subprocess.run(command, capture_output=True).stdout == b"you said "


def test_plain_requests_to_aws_are_answered_here(
    proxy: Proxy, authority: Authority, echo: Echo
) -> None:
    with session_through(proxy, authority) as session:
        answer = session.get("http://sts.amazonaws.com/a?b")
    assert answer.content == b"you said "
    assert echo.heads[0].startswith("GET /a?b HTTP/1.1\r\nConnection: close\r\n")
    assert "Proxy-Connection" not in echo.heads[0]


def test_other_hosts_are_tunnelled_untouched(proxy: Proxy, loop: Loop) -> None:
    async def reverse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read())[::-1])  # answers only when the client has ended
        writer.close()

    with listening(loop, reverse) as port:
        data = bytes(range(256)) * 4000
        answer = talk(proxy.port, f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n".encode() + data)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head == b"HTTP/1.1 200 Connection established"
    assert body == data[::-1]


def test_plain_requests_are_forwarded(proxy: Proxy, authority: Authority, loop: Loop) -> None:
    other = Echo()
    with listening(loop, other) as port, session_through(proxy, authority) as session:
        answer = session.post(f"http://127.0.0.1:{port}/x", data=b"hi")
    assert answer.content == b"you said hi"
    assert other.heads[0].startswith("POST /x HTTP/1.1")


def test_the_proxy_from_before_is_used_for_other_hosts(
    loop: Loop, authority: Authority, main: int
) -> None:
    seen = []

    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nfrom upstream")
        writer.close()

    with listening(loop, upstream) as port:
        url = f"http://user:pass@127.0.0.1:{port}"
        environment = {"HTTPS_PROXY": url, "HTTP_PROXY": url}
        with proxying(loop, authority, main, environment) as proxy:
            tunnelled = talk(proxy.port, b"CONNECT pypi.org:443 HTTP/1.1\r\n\r\n")
            talk(proxy.port, b"GET http://pypi.org/ HTTP/1.1\r\nHost: pypi.org\r\n\r\n")
            with session_through(proxy, authority) as session:
                answered = session.get(AWS)
    assert tunnelled.endswith(b"from upstream")
    credentials = "Proxy-Authorization: Basic dXNlcjpwYXNz\r\n"
    assert seen[0] == f"CONNECT pypi.org:443 HTTP/1.1\r\nHost: pypi.org:443\r\n{credentials}\r\n"
    assert seen[1].startswith("GET http://pypi.org/ HTTP/1.1\r\n")
    assert credentials in seen[1]
    assert answered.content == b"you said "


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"CONNECT sts.amazonaws.com:80 HTTP/1.1\r\n\r\n", b"403 Forbidden"),
        (b"CONNECT bad_host!.amazonaws.com:443 HTTP/1.1\r\n\r\n", b"403 Forbidden"),
        (b"CONNECT 127.0.0.1:1 HTTP/1.1\r\n\r\n", b"502 Bad Gateway"),
        (b"CONNECT host:port HTTP/1.1\r\n\r\n", b"400 Bad Request"),
        (b"CONNECT [::1 HTTP/1.1\r\n\r\n", b"400 Bad Request"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400 Bad Request"),
        (b"GET http://[bad HTTP/1.1\r\n\r\n", b"400 Bad Request"),
        (b"GET ftp://host/ HTTP/1.1\r\n\r\n", b"400 Bad Request"),
        (b"nonsense\r\n\r\n", b"400 Bad Request"),
        (b"GET / HTTP/1.1\r\n", b"400 Bad Request"),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 300_000, b"431 Request Header Fields Too Large"),
    ],
)
def test_what_is_refused(proxy: Proxy, request_: bytes, status: bytes) -> None:
    assert talk(proxy.port, request_).startswith(b"HTTP/1.1 " + status)


def test_a_client_that_says_nothing_gets_nothing(proxy: Proxy) -> None:
    assert talk(proxy.port, b"") == b""


def test_no_connection_to_aws_is_ever_opened() -> None:
    async def dial(host: str) -> None:
        await connect._dial(host, 443)

    for host in ("sts.amazonaws.com", "S3.AMAZONAWS.COM.", "x.api.aws"):
        with pytest.raises(connect.Refused, match="answers for"):
            asyncio.run(dial(host))


def test_open_connections_are_cut_when_it_closes(
    loop: Loop, authority: Authority, main: int
) -> None:
    with proxying(loop, authority, main) as proxy:
        connection = socket.create_connection(("127.0.0.1", proxy.port), 10)
        connection.sendall(f"CONNECT 127.0.0.1:{main} HTTP/1.1\r\n\r\n".encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    assert connection.recv(1000) == b""
    connection.close()
