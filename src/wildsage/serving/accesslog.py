"""One line for each request, written in bursts so that a busy server is not slowed by its own log.

Health checks that succeed are not logged. When more requests come than a log is good for, a burst
ends with a line that counts the rest; requests that fail are always written.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from wildsage.serving.handler import Reply
from wildsage.serving.protocol import Request

FLUSH_SECONDS = 0.1
LINES_PER_BURST = 20


@dataclass
class AccessLog:
    _lines: list[str] = field(default_factory=list)
    _left_out: int = 0
    _scheduled: bool = False

    def write(self, request: Request, reply: Reply, seconds: float) -> None:
        failed = reply.status >= 400
        if request.path == "/ping" and not failed:
            return
        if not failed and len(self._lines) >= LINES_PER_BURST:
            self._left_out += 1
            return
        self._lines.append(self._line(request, reply, seconds))
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)

    def _line(self, request: Request, reply: Reply, seconds: float) -> str:
        line = f"{request.method} {request.path} {reply.status} {seconds * 1000:.1f}ms"
        if reply.status >= 400:
            return f"{line} {reply.body[:1024].decode('utf-8', 'replace')}"
        return f"{line} {len(request.body)} bytes in, {len(reply.body)} bytes out"

    def flush(self) -> None:
        self._scheduled = False
        if self._left_out:
            self._lines.append(f"and {self._left_out} more requests that were answered")
        if self._lines:
            print("\n".join(self._lines), flush=True)
        self._lines, self._left_out = [], 0
