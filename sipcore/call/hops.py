"""The way to a peer whose Contact may lead nowhere from here: within its dialog, behind NAT."""

import ipaddress
from functools import lru_cache

from sipcore.dialog.dialog import Dialog
from sipcore.endpoint import Endpoint
from sipcore.message.flow import Flow, Hop
from sipcore.message.uri import Uri
from sipcore.transport.resolve import is_address


def hop_within(endpoint: Endpoint, dialog: Dialog) -> Hop:
    """Return the way for the next request within a dialog.

    Along the route set or to the peer's Contact (RFC 3261 12.2.1.1); back along the flow on a
    stream, to a Contact that cannot be reached from here (a private address behind NAT), and
    to a name that has no address.
    """
    flow = dialog.flow
    if dialog.route_set:
        return endpoint.hop_at_once(Uri.parse(dialog.next_hop())) or endpoint.hop_by(flow)
    if (kept := endpoint.ways.within.get((dialog.peer_contact, flow))) is not None:
        return kept
    uri = Uri.parse(dialog.peer_contact)
    hop = None
    if not flow.is_reliable and not is_behind_nat(uri, flow):
        hop = endpoint.hop_at_once(uri)
    hop = hop or endpoint.hop_by(flow)
    if is_address(uri.address):  # a name may lead elsewhere the next time
        endpoint.ways.keep_within(dialog.peer_contact, flow, hop)
    return hop


def is_behind_nat(uri: Uri, flow: Flow) -> bool:
    """Tell whether a message from the public network names a Contact that is not in it.

    Between private addresses the Contact is believed: networks of carriers are like that.
    """
    if uri.address == flow.remote_address:
        return False
    return _is_public(uri.address) is False and _is_public(flow.remote_address) is True


@lru_cache(4096)
def _is_public(host: str) -> bool | None:
    """None for what is no address. 100.64.0.0/10 (RFC 6598) is not public."""
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return None
