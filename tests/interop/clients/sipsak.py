"""sipsak: asks a server one question."""

import subprocess

from tests.interop.clients.base import PHONE_HOST
from tests.interop.house import House
from tests.packages import require


def asked(
    house: House, transport: str, user: str, *words: str, ca: str
) -> subprocess.CompletedProcess[bytes]:
    """Let sipsak ask a node something. `ca`: the file of whom it believes."""
    require("sipsak")
    place, by = house.place(transport)
    host, _, port = place.rpartition(":")  # in one it is what it looks for in a certificate
    argv = ["sipsak", "-s", f"sip:{user}{host}", "-r", port, "-E", by, "-H", PHONE_HOST, "-vvv"]
    argv += words
    if by == "tls":
        argv.append(f"--tls-ca-cert={ca}")
    return subprocess.run(argv, capture_output=True, timeout=20, check=False)
