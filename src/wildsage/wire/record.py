"""The record of one request: who, what, when, from where, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RequestRecord:
    time: float
    duration: float
    request_id: str
    service: str
    operation: str
    account: str
    region: str
    principal: str
    access_key: str
    source_ip: str
    user_agent: str
    status: int
    error_code: str = ""
    error_message: str = ""
