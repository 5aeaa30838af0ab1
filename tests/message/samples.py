"""Messages written out."""

INVITE = (
    b"INVITE sip:8002@acme.example SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 203.0.113.9:5070;branch=z9hG4bK1;rport\r\n"
    b"Via: SIP/2.0/UDP 10.9.9.9;branch=z9hG4bK0\r\n"
    b'From: "A, B" <sip:8001@acme.example>;tag=1\r\nTo: <sip:8002@acme.example>\r\n'
    b"Call-ID: abc\r\nCSeq: 1 INVITE\r\nContact: <sip:x@203.0.113.9>\r\nContent-Length: 0\r\n\r\n"
)
