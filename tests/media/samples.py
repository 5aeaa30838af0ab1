"""Descriptions written out."""

PHONE = b"""v=0
o=alice 53655765 2353687637 IN IP4 10.0.0.9
s=Secret Phone 1.0
i=of alice
u=http://10.0.0.9/
c=IN IP4 10.0.0.9
b=AS:64
t=0 0
a=tool:secretphone
a=group:BUNDLE 0
m=audio 4000 RTP/AVP 0 96 101
b=TIAS:64000
a=rtpmap:0 PCMU/8000
a=rtpmap:96 opus/48000/2
a=fmtp:96 useinbandfec=1
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=ptime:20
a=maxptime:60
a=rtcp:4005 IN IP4 10.0.0.9
a=rtcp-mux
a=ice-ufrag:abcd
a=ice-pwd:efghijklmnopqrstuvwxyz
a=candidate:1 1 UDP 2130706431 10.0.0.9 4000 typ host
a=fingerprint:sha-256 AA:BB
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:key
a=x-unknown:10.0.0.9
a=sendrecv
m=video 4010 RTP/SAVP 97
a=rtpmap:97 H264/90000
m=image 4020 udptl t38
"""
SOURCE = "198.51.100.7"


def one_line(media: str, *attributes: str, address: str = "10.0.0.9") -> bytes:
    lines = ("v=0", "o=- 1 1 IN IP4 10.0.0.9", "s=-", f"c=IN IP4 {address}", "t=0 0", media)
    return "\r\n".join((*lines, *attributes, "")).encode()
