"""Which hosts are AWS's, and which proxy the user already had for all others."""

from __future__ import annotations

import ipaddress
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

DOMAINS = ("amazonaws.com", "amazonaws.com.cn", "amazonaws.eu", "aws")
_PORTS = {"http": 80, "https": 443}


def is_aws(host: str) -> bool:
    """Whether a host is one that wildsage answers for. Nothing may ever be sent to it."""
    name = host.lower().rstrip(".")
    return any(name == domain or name.endswith("." + domain) for domain in DOMAINS)


def split_authority(text: str, default_port: int) -> tuple[str, int]:
    """Host and port of `host:port`, `[::1]:port` or `host`; ValueError when it is neither."""
    parts = urlsplit(f"//{text}")
    host = parts.hostname or ""
    if not host or parts.path or parts.query or parts.username is not None:
        raise ValueError(f"not a host and port: {text!r}")
    return host, parts.port or default_port


@dataclass(frozen=True, slots=True)
class Upstream:
    """The proxy that the user's own settings name; `authorization` is its credentials, if any."""

    host: str
    port: int
    authorization: str = ""


class Upstreams:
    """Which proxy a connection to a host would have taken without us."""

    def __init__(self, environment: Mapping[str, str], own_port: int) -> None:
        self._proxies = _proxies_in(environment)
        self._own_port = own_port

    def for_host(self, scheme: str, host: str) -> Upstream | None:
        url = self._proxies.get(scheme) or self._proxies.get("all", "")
        if not url or _bypassed(host, self._proxies.get("no", "")):
            return None
        return self._parse(url)

    def _parse(self, url: str) -> Upstream | None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme != "http" or not parts.hostname:
            return None
        port = parts.port or _PORTS[parts.scheme]
        if port == self._own_port and _is_local(parts.hostname):
            return None  # the variable is our own doing
        return Upstream(parts.hostname, port, _basic(parts.username, parts.password))


def _proxies_in(environment: Mapping[str, str]) -> dict[str, str]:
    """`https_proxy`, `no_proxy` and so on, without the ending; lower-case names win."""
    proxies: dict[str, str] = {}
    for name in sorted(environment, key=str.islower):
        lowered = name.lower()
        if lowered.endswith("_proxy") and environment[name]:
            proxies[lowered.removesuffix("_proxy")] = environment[name]
    return proxies


def _bypassed(host: str, no_proxy: str) -> bool:
    """Whether NO_PROXY names the host, a domain above it, or everything."""
    names = [name.strip().lower().lstrip(".") for name in no_proxy.split(",")]
    return "*" in names or any(n and (host == n or host.endswith("." + n)) for n in names)


def _is_local(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _basic(user: str | None, password: str | None) -> str:
    if user is None:
        return ""
    pair = f"{unquote(user)}:{unquote(password or '')}"
    return "Basic " + b64encode(pair.encode()).decode()
