"""The Debian packages that tests need, in one place: the package, its program, the tests."""

import os
import shutil
from glob import glob
from typing import NamedTuple

SBIN = "/usr/sbin"  # servers are there, which is not on everybody's PATH


class Package(NamedTuple):
    """A Debian package, the program that shows that it is there, and what cannot run without.

    A library is no program: then it is a pattern of its file's path.
    """

    name: str
    program: str
    tests: tuple[str, ...]  # files or folders under tests/


KAMAILIO_MODULES = {
    name: f"/usr/lib/*/kamailio/modules/{name}.so" for name in ("tls", "websocket", "outbound")
}
PAGE = "interop/test_page.py"  # which all programs of the matrix have to be there for
CLIENTS = ("interop/test_clients.py", "interop/test_certificates.py", PAGE)
KAMAILIO = (
    *CLIENTS,
    "interop/test_carrier_faults.py",
    "interop/test_kamailio.py",
    "interop/test_sipp.py",
    "interop/test_small_clients.py",
)
PACKAGES = (
    Package(
        "sip-tester",
        "sipp",
        (
            "interop/test_calls.py",
            "interop/test_carrier_faults.py",
            "interop/test_dashboards.py",
            "interop/test_failures.py",
            "interop/test_kill.py",
            "interop/test_kill_recorded.py",
            "interop/test_lost_packets.py",
            "interop/test_pbx.py",
            "interop/test_registration.py",
            "interop/test_rules.py",
            "interop/test_silence.py",
            "interop/test_sipp.py",
            "interop/test_stop.py",
            PAGE,
        ),
    ),
    Package(
        "baresip-core",
        "baresip",
        ("interop/test_baresip.py", "interop/test_recording.py", *CLIENTS),
    ),
    Package(
        "sipsak", "sipsak", ("interop/test_small_clients.py", "interop/test_certificates.py", PAGE)
    ),
    Package("nodejs", "node", CLIENTS),
    Package("npm", "npm", CLIENTS),
    Package("linphone-cli", "linphonec", CLIENTS),
    Package("kamailio", "kamailio", KAMAILIO),
    *(
        Package(f"kamailio-{name}-modules", file, KAMAILIO)
        for name, file in KAMAILIO_MODULES.items()
    ),
    Package("rtpengine-daemon", "rtpengine", ("bench/test_relays.py",)),
    Package("prometheus", "prometheus", ("deploy/test_rules.py", "interop/test_dashboards.py")),
    Package("nftables", "nft", ("transport/test_nft.py", "test_firewall.py")),
    Package("iproute2", "ip", ("transport/test_nft.py", "test_firewall.py")),
    Package("systemd", "systemd-analyze", ("deploy/test_unit.py",)),
)


def missing() -> list[Package]:
    """Return the packages whose program is not here."""
    return [package for package in PACKAGES if found(package.program) is None]


def found(program: str) -> str | None:
    """Return where a program, or the file of a pattern, is."""
    if "*" in program:
        return next(iter(glob(program)), None)
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:{SBIN}")


def require(program: str) -> str:
    """Return where a program is; fail with what to install where it is missing. Nothing is skipped
    for that."""
    for package in missing():
        assert package.program != program, f"{program} is missing: apt-get install {package.name}"
    return found(program) or program
