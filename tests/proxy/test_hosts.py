from __future__ import annotations

import pytest

from wildsage.proxy.hosts import Upstream, Upstreams, is_aws, split_authority


@pytest.mark.parametrize(
    ("host", "aws"),
    [
        ("sts.us-east-1.amazonaws.com", True),
        ("STS.AMAZONAWS.COM.", True),
        ("s3.cn-north-1.amazonaws.com.cn", True),
        ("bucket.s3.amazonaws.com", True),
        ("sagemaker.us-east-1.api.aws", True),
        ("amazonaws.com", True),
        ("notamazonaws.com", False),
        ("amazonaws.com.evil.org", False),
        ("docs.aws.amazon.com", False),
        ("127.0.0.1", False),
    ],
)
def test_the_hosts_of_aws(host: str, aws: bool) -> None:
    assert is_aws(host) is aws


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("host:1", ("host", 1)),
        ("host", ("host", 443)),
        ("[::1]:8", ("::1", 8)),
        ("[::1]", ("::1", 443)),
    ],
)
def test_authorities(text: str, expected: tuple[str, int]) -> None:
    assert split_authority(text, 443) == expected


@pytest.mark.parametrize("text", ["", ":1", "host:port", "host:99999", "user@host:1", "host/path"])
def test_what_is_no_authority(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        split_authority(text, 443)


@pytest.mark.parametrize(
    ("environment", "host", "upstream"),
    [
        ({}, "pypi.org", None),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "pypi.org", Upstream("proxy", 3128)),
        ({"HTTPS_PROXY": "http://a:1", "https_proxy": "http://b:2"}, "x", Upstream("b", 2)),
        ({"ALL_PROXY": "proxy:8080"}, "pypi.org", Upstream("proxy", 8080)),
        (
            {"https_proxy": "http://user:p%40ss@proxy"},
            "pypi.org",
            Upstream("proxy", 80, "Basic dXNlcjpwQHNz"),
        ),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "other, .pypi.org"}, "pypi.org", None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "pypi.org"}, "files.pypi.org", None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, "pypi.org", None),
        ({"HTTPS_PROXY": "http://127.0.0.1:4571"}, "pypi.org", None),
        ({"HTTPS_PROXY": "http://localhost:4571"}, "pypi.org", None),
        ({"HTTPS_PROXY": "socks5://p:1"}, "pypi.org", None),
        ({"HTTP_PROXY": "http://p:1"}, "pypi.org", None),
    ],
)
def test_the_proxy_that_was_there_before(
    environment: dict[str, str], host: str, upstream: Upstream | None
) -> None:
    assert Upstreams(environment, 4571).for_host("https", host) == upstream
