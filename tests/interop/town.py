"""Who lives around the node of a test: carriers, PBXs, customers, each at a free port."""

from typing import NamedTuple

from tests.interop.ports import HOST, Ports

OUTSIDE = "02150001234"
OUTSIDE_E164 = "+862150001234"
ACME_NUMBER = "02136413501"  # leads to extension 8001
SOLO_NUMBER = "02136413511"  # leads to extension 8101; the plan has one channel
FIXED_PBX_NUMBER = "02136413521"
MOBILE_PBX_NUMBER = "02136413522"


def e164(number: str) -> str:
    """Return a national number as it is stored."""
    return f"+86{number.removeprefix('0')}"


class Account(NamedTuple):
    """What a device signs in with."""

    user: str
    password: str
    domain: str


DESK = Account("8001", "front-desk-8001", "acme.example")
WORKSHOP = Account("8002", "workshop-8002", "acme.example")
SAFE = Account("8003", "safe-8003", "acme.example")  # is challenged with SHA-256 first
SOLO_DESK = Account("8101", "solo-8101", "solo.example")
SOLO_OTHER = Account("8102", "solo-8102", "solo.example")
FIRST_DESK = 8011
MOBILE_PBX = Account("beta-mobile", "beta-mobile-secret", "beta.example")


class Town:
    """The ports of the peers, and the provisioning file that tells the node of them. `desks` are
    so many more phones of the customer of DESK; `host` is where carriers and PBXs are."""

    def __init__(self, ports: Ports, desks: int = 0, host: str = HOST) -> None:
        self._host = host
        numbers = range(FIRST_DESK, FIRST_DESK + desks)
        self.desks = [Account(f"{one}", f"desk-{one}", DESK.domain) for one in numbers]
        self.carrier_a = ports.take()
        self.carrier_b = ports.take()
        self.fixed_pbx = ports.take()

    def provisioning(self) -> str:
        """Return the file as TOML."""
        return TEMPLATE.format(
            host=self._host,
            carrier_a=self.carrier_a,
            carrier_b=self.carrier_b,
            fixed_pbx=self.fixed_pbx,
            desk=DESK,
            desks="".join(map(EXTENSION.format, self.desks)),
            workshop=WORKSHOP,
            safe=SAFE,
            solo_desk=SOLO_DESK,
            solo_other=SOLO_OTHER,
            mobile_pbx=MOBILE_PBX,
            acme_number=ACME_NUMBER,
            solo_number=SOLO_NUMBER,
            fixed_number=FIXED_PBX_NUMBER,
            mobile_number=MOBILE_PBX_NUMBER,
        )


EXTENSION = """[[customer.extension]]
number = "{0.user}"
password = "{0.password}"
account = "acme-1"
"""
TEMPLATE = """
[[carrier]]
id = "carrier-a"
uri = "sip:{host}:{carrier_a}"
priority = 1
weight = 10
channels = 20
accept_from = ["{host}:{carrier_a}"]
allow = ["national"]

[[carrier]]
id = "carrier-b"
uri = "sip:{host}:{carrier_b}"
priority = 2
weight = 10
channels = 20
accept_from = ["{host}:{carrier_b}"]
allow = ["national"]

[[customer]]
id = "acme"
name = "Acme 服务有限公司"
domain = "{desk.domain}"
verified = true
[[customer.account]]
id = "acme-1"
plans = ["pbx-2-8", "ext-64"]
opened = 2026-01-01
deposit = 5000.00
[[customer.number]]
number = "{acme_number}"
account = "acme-1"
to = "8001"
[[customer.extension]]
number = "{desk.user}"
name = "Front desk"
password = "{desk.password}"
account = "acme-1"
device = "phone"
[[customer.extension]]
number = "{workshop.user}"
name = "Workshop"
password = "{workshop.password}"
account = "acme-1"
device = "phone"
[[customer.extension]]
number = "{safe.user}"
password = "{safe.password}"
account = "acme-1"
digest = ["SHA-256", "MD5"]
{desks}
[[customer]]
id = "solo"
name = "Solo 商贸"
domain = "{solo_desk.domain}"
verified = true
[[customer.account]]
id = "solo-1"
plans = ["a39", "ext-4"]
opened = 2026-01-01
deposit = 500.00
[[customer.number]]
number = "{solo_number}"
account = "solo-1"
to = "8101"
[[customer.extension]]
number = "{solo_desk.user}"
password = "{solo_desk.password}"
account = "solo-1"
[[customer.extension]]
number = "{solo_other.user}"
password = "{solo_other.password}"
account = "solo-1"

[[customer]]
id = "beta"
name = "Beta"
domain = "{mobile_pbx.domain}"
verified = true
[[customer.account]]
id = "beta-1"
plans = ["a4-269"]
opened = 2026-01-01
deposit = 2000.00
[[customer.number]]
number = "{fixed_number}"
account = "beta-1"
to = "trunk:fixed-pbx"
[[customer.number]]
number = "{mobile_number}"
account = "beta-1"
to = "trunk:mobile-pbx"
[[customer.trunk]]
id = "fixed-pbx"
account = "beta-1"
uri = "sip:{host}:{fixed_pbx}"
accept_from = ["{host}:{fixed_pbx}"]
channels = 2
[[customer.trunk]]
id = "mobile-pbx"
account = "beta-1"
user = "{mobile_pbx.user}"
password = "{mobile_pbx.password}"
channels = 2
"""
