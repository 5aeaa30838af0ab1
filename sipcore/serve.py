"""What a node consists of: its lock, its listening sockets, its processes and what each is told.

`sipcore serve` runs serve(); each process is this module again, `python -m sipcore.serve ROLE`.
"""

import errno
import fcntl
import os
import resource
import select
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import msgspec

from sipcore import log
from sipcore.clock import SystemClock
from sipcore.config import Config
from sipcore.errors import CannotStart
from sipcore.supervise import ChildSpec, Supervisor

LOCK_NAME = "node.lock"
LOCK_WAIT_S = 3.0  # orphans of a killed supervisor end within 1 s and hold the lock until then
RESTARTS_NAME = "restarts.json"
UDP_BUFFER_BYTES = 8 << 20  # a registration storm, and the time that signalling takes to restart
BACKLOG = 1024
DESCRIPTORS = 1 << 18
LIFELINE_FD = 0
LIFELINE_S = 0.8  # a process that has not ended by itself so long after its supervisor is ended

_log = log.logger(__name__)


def serve(config: Config, data: Path) -> int:
    """Run a node until it is told to stop. Returns the exit status. Raises CannotStart."""
    lock_fd = take_lock(data)
    _raise_limit()
    with_sip = [listen(one.transport, one.address, one.port) for one in config.listen]
    with_web = listen("tcp", config.web.address, config.web.port)
    specs = _specs(config, data, with_sip, with_web, lock_fd)
    write_restarts(data, {spec.name: 0 for spec in specs})
    supervisor = Supervisor(specs, config.limits.drain_s, lambda n: write_restarts(data, n))
    return supervisor.run()


def _specs(
    config: Config,
    data: Path,
    with_sip: list[socket.socket],
    with_web: socket.socket,
    lock_fd: int,
) -> list[ChildSpec]:
    """Media first: signalling looks for its workers as soon as it runs."""
    sockets = [
        {**msgspec.structs.asdict(one), "fd": its.fileno()}
        for one, its in zip(config.listen, with_sip, strict=True)
    ]
    signalling = {
        "config": config,
        "data": str(data),
        "sockets": sockets,
        "lifeline_fd": LIFELINE_FD,
    }
    web = {
        "data": str(data),
        "fd": with_web.fileno(),
        "lifeline_fd": LIFELINE_FD,
        "language": config.node.language,
    }
    sip_fds = tuple(its.fileno() for its in with_sip)
    return [
        *(
            _spec(f"media-{n}", _media_settings(config, data, n), (lock_fd,))
            for n in range(config.media.workers)
        ),
        _spec("signalling", signalling, (*sip_fds, lock_fd), drains=True),
        _spec("web", web, (with_web.fileno(), lock_fd)),
    ]


def _media_settings(config: Config, data: Path, number: int) -> dict[str, object]:
    return {
        "path": str(data / f"media-{number}.sock"),
        "address": config.media.address,
        "address6": config.media.address6 or "",
        "silence_s": config.media.silence_s,
        "jitter_ms": config.media.jitter_ms,
        "recordings": str(data / "recordings"),
    }


def _spec(
    name: str, settings: dict[str, object], fds: tuple[int, ...], drains: bool = False
) -> ChildSpec:
    argv = (sys.executable, "-m", "sipcore.serve", name)
    return ChildSpec(name, argv, msgspec.json.encode(settings), fds, drains)


def take_lock(data: Path, wait_s: float | None = None) -> int:
    """Make the data folder and take its lock, held while any copy of the returned fd is open.

    Raises CannotStart when another process holds it after `wait_s` seconds (LOCK_WAIT_S).
    """
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(data / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as fault:
        raise CannotStart(f"the data folder {data} cannot be used: {fault.strerror}") from None
    monotonic = SystemClock().monotonic
    deadline = monotonic() + (LOCK_WAIT_S if wait_s is None else wait_s)
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if monotonic() >= deadline:
                owner = os.pread(fd, 20, 0).decode("ascii", "replace").strip() or "unknown"
                os.close(fd)
                raise CannotStart(f"another node (pid {owner}) runs on {data}") from None
            time.sleep(0.05)
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd


def listen(transport: str, address: str, port: int) -> socket.socket:
    """Open a listening socket, UDP or a stream. Raises CannotStart, naming it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    is_udp = transport == "udp"
    opened = socket.socket(family, socket.SOCK_DGRAM if is_udp else socket.SOCK_STREAM)
    try:
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if is_udp:
            _enlarge(opened)
        else:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((address, port))
        if not is_udp:
            opened.listen(BACKLOG)
    except OSError as fault:
        opened.close()
        raise CannotStart(_why_not(f"{transport} {address} port {port}", fault)) from None
    opened.setblocking(False)
    return opened


def _why_not(place: str, fault: OSError) -> str:
    match fault.errno:
        case errno.EADDRINUSE:
            return f"cannot listen on {place}: another program has that port"
        case errno.EADDRNOTAVAIL:
            return f"cannot listen on {place}: this machine has no such address"
        case errno.EACCES:
            return f"cannot listen on {place}: not allowed"
    return f"cannot listen on {place}: {fault.strerror or fault}"


def _enlarge(opened: socket.socket) -> None:
    """Ask for a large receive buffer; beyond the system's limit only root is given it."""
    so_rcvbufforce = 33  # socket(7); no name in Python 3.11
    try:
        opened.setsockopt(socket.SOL_SOCKET, so_rcvbufforce, UDP_BUFFER_BYTES)
    except OSError:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UDP_BUFFER_BYTES)


def _raise_limit() -> None:
    """10,000 streams are 20,000 sockets; children inherit the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def write_restarts(data: Path, restarts: dict[str, int]) -> None:
    """Leave {process: times started again} where the web process finds it for /metrics."""
    temporary = data / f"{RESTARTS_NAME}.tmp"
    try:
        temporary.write_bytes(msgspec.json.encode(restarts))
        temporary.replace(data / RESTARTS_NAME)
    except OSError as fault:
        _log.warning("%s cannot be written: %s", RESTARTS_NAME, fault)


def main() -> None:
    """Be one process of the node: the role is the argument, settings come on standard input."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # uvicorn would undo an ignore
    log.start()
    role = sys.argv[1].partition("-")[0]
    settings = _read_settings()
    threading.Thread(target=_watch_lifeline, name="lifeline", daemon=True).start()
    try:
        _run(role, settings)
    except CannotStart as fault:
        _log.error("%s", fault)
        sys.exit(2)


def _run(role: str, settings: bytes) -> None:
    """Each role imports what it needs and no more: a worker has no web in its memory."""
    match role:
        case "signalling":
            from sipcore import signalling

            signalling.run(msgspec.json.decode(settings, type=signalling.SignallingSettings))
        case "media":
            from sipcore.media import worker

            worker.run(msgspec.json.decode(settings, type=worker.Settings), LIFELINE_FD)
        case "web":
            from sipcore.web import server

            server.run(msgspec.json.decode(settings, type=server.WebSettings))
        case _:
            raise CannotStart(f"there is no role {role!r}")


def _read_settings() -> bytes:
    content = b""
    while not content.endswith(b"\n"):
        piece = os.read(LIFELINE_FD, 65536)
        if not piece:  # the supervisor died between starting us and telling us
            sys.exit(1)
        content += piece
    return content


def _watch_lifeline() -> None:
    """End the process, whatever it hangs on, soon after its supervisor is gone."""
    poll = select.poll()
    poll.register(LIFELINE_FD, 0)  # only POLLHUP: the role itself may be reading
    poll.poll()
    time.sleep(LIFELINE_S)
    os._exit(1)


if __name__ == "__main__":
    main()
