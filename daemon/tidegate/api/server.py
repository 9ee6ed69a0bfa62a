"""The listening side: uvicorn inside our own event loop. Signals are the process' business, not this server's."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.applications import Starlette

from tidegate.model import problems

BACKLOG = 1024
GRACE = 2
KEEP_ALIVE = 75


class Server:
    """Binds at once, answers while `run` runs."""

    def __init__(self, app: Starlette, listen: str) -> None:
        """`listen` is `host:port` (`[::1]:9320`, `:9320` for all addresses; port 0 takes a free one).

        Raises `FatalError` when it cannot be had.
        """
        self._app = app
        self._socket = _bind(listen)
        config = uvicorn.Config(
            app,
            log_config=None,
            log_level="warning",
            access_log=False,
            lifespan="on",
            ws="none",
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=GRACE,
            backlog=BACKLOG,
        )
        self._server = _Uvicorn(config)
        self._socket_name: tuple[str, int] = self._socket.getsockname()[:2]

    @property
    def address(self) -> str:
        """`host:port`, with the real port."""
        host, port = self._socket_name
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    @property
    def url(self) -> str:
        """A URL that works on this machine."""
        host, port = self._socket_name
        local = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
        return f"http://{local}:{port}"

    async def run(self) -> None:
        """Answer until `close` or cancellation. Requests under way get 2 s to end."""
        try:
            await self._server.serve(sockets=[self._socket])
        finally:
            for server in getattr(self._server, "servers", ()):
                server.close()
            self._socket.close()

    def close(self) -> None:
        """Take no more requests, answer the waiting ones, end `run`."""
        self._app.state.closing = True
        self._server.should_exit = True

    @property
    def started(self) -> bool:
        """Whether requests are answered."""
        return bool(self._server.started)


class _Uvicorn(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the process' signals alone."""
        yield


def _bind(listen: str) -> socket.socket:
    host, colon, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise problems.FatalError(f"web.listen: {listen!r} is not `host:port`")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise problems.FatalError(f"cannot listen on {listen}: {error.strerror or error}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise problems.FatalError(f"cannot listen on {listen}: {error.strerror or error}") from error
    listener.settimeout(0)
    return listener
