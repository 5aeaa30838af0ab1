"""What the scenarios for SIPp must keep to, whoever plays them."""

import re

from bench.sipp import SCENARIOS


def test_a_phone_registers_one_contact_whichever_process_and_port_it_sends_from() -> None:
    text = (SCENARIOS / "register.xml").read_text("utf-8")
    contacts = set(re.findall(r"Contact: <(.*)>", text))
    assert contacts == {"sip:[field0].[field1]@[local_ip]:5060"}
