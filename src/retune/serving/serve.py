"""Run the server: one process serves one model until SIGINT or SIGTERM ends it."""

import importlib.util
import ipaddress
import logging
import socket
from pathlib import Path

from retune.core.errors import InputError
from retune.core.local_settings import read_local_settings
from retune.core.section import read_value
from retune.encoding.compute import Compute
from retune.serving.served import load_served

INSTALL = ".venv/bin/python -m pip install --requirement requirements-serve.txt"
QUEUE_LIMIT = 32_000_000  # characters of all requests without an answer
MOST_REQUESTS = 1024  # at once; more get 503
STOP_S = 30  # how long requests in flight may still take after such a signal
LOG = logging.getLogger(__name__)


def serve(folder: Path, host: str, port: str, *, is_fast: bool) -> None:
    """Serve a model directory until the process gets SIGINT or SIGTERM; requests in flight are still answered.

    Args:
        folder: The model, which is served under the name of its directory.
        host: The address to listen on.
        port: The port; 0 for any that is free.
        is_fast: Whether the last bits of vectors may differ from those that were evaluated.

    Raises:
        InputError: There is no such model, the port is taken, the address is not this machine's alone and the
            environment has no key, or a package is missing.
    """
    if missing := [package for package in ("fastapi", "uvicorn") if importlib.util.find_spec(package) is None]:
        raise InputError(f"serve: expected the package {missing[0]}, found none; run {INSTALL}")
    key = read_local_settings().serve_key
    if not key and not _is_loopback(host):
        raise InputError(
            f"RETUNE_SERVE_KEY: expected a key in the environment, as others can reach {host}, found none; set it, or "
            "listen on 127.0.0.1"
        )
    import uvicorn

    from retune.serving.app import Service, make_app

    with _listen(host, port) as listening:
        model = load_served(folder, Compute.read("compute"), str(read_value("eval.dtype")), is_fast=is_fast)
        app = make_app(Service(folder.name, model, queue_limit=QUEUE_LIMIT), key)
        config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=STOP_S,
                                limit_concurrency=MOST_REQUESTS)  # fmt: skip
        LOG.info("%s: serving on http://%s:%d", folder.name, *listening.getsockname()[:2])
        logging.getLogger("retune").setLevel(logging.WARNING)  # else each turn reports cut texts
        uvicorn.Server(config).run(sockets=[listening])


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listen(host: str, port: str) -> socket.socket:
    if not (port.isdecimal() and int(port) < 2**16):
        raise InputError(f"port: expected a whole number from 0 to 65535, got {port!r}")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)  # without the protocol, asyncio lets replies wait for 40 ms
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen()
    except OSError as error:
        raise InputError(f"{host}:{port}: cannot listen there: {error.strerror}; name another port or host") from None
    return listening
