"""The four transaction tables of RFC 3261 17, with RFC 6026 (2xx) and RFC 4320 (non-INVITE). Data.

A table maps (state, what happened) to (next state, what to do, in order). What has no row is
absorbed and counted.
"""

from typing import Final

# States
CALLING: Final = "calling"
TRYING: Final = "trying"
PROCEEDING: Final = "proceeding"
ACCEPTED: Final = "accepted"
COMPLETED: Final = "completed"
CONFIRMED: Final = "confirmed"
TERMINATED: Final = "terminated"

# What happened
RETRY: Final = "retry"  # timers A, E, G: time to say it again
TIMEOUT: Final = "timeout"  # timers B, F, H: nobody answers
LINGERED: Final = "lingered"  # timers D, I, J, K, L, M: stragglers have had their time
ERROR: Final = "error"  # the transport could not send
R1XX: Final = "r1xx"  # a response came
R2XX: Final = "r2xx"
R3XX: Final = "r3xx"  # 300 to 699
S1XX: Final = "s1xx"  # our user gives a response
S1XX_RELIABLE: Final = "s1xx-reliable"  # one that wants a PRACK (RFC 3262)
S2XX: Final = "s2xx"
S3XX: Final = "s3xx"
REQUEST: Final = "request"  # the request came again
ACK: Final = "ack"
PRACKED: Final = "pracked"
CANCELLED: Final = "cancelled"  # our user has sent CANCEL for it (RFC 3261 9.1)

# What to do
SEND: Final = "send"  # the message at hand, and keep it
RESEND: Final = "resend"  # the message kept
SETTLE: Final = "settle"  # stop retry and timeout
REPEAT: Final = "repeat"  # set retry and timeout: nobody may have heard
LINGER: Final = "linger"  # stop retry and timeout, stay for stragglers
EXPECT: Final = "expect"  # set the timeout alone
SEND_ACK: Final = "send-ack"  # for a final response that is no 2xx (17.1.1.3), and keep it
TELL: Final = "tell"  # our user, the message at hand
FAIL: Final = "fail"  # tell our user that nothing came

Table = dict[tuple[str, str], tuple[str, tuple[str, ...]]]


# What happens when a response goes (ours) or comes, by the class of its status
GIVEN: Final = ("", S1XX, S2XX, S3XX, S3XX, S3XX, S3XX)
HEARD: Final = ("", R1XX, R2XX, R3XX, R3XX, R3XX, R3XX)


INVITE_CLIENT: Final[Table] = {  # RFC 3261 figure 5; ACCEPTED: RFC 6026 7.2
    (CALLING, RETRY): (CALLING, (RESEND,)),  # timer A
    (CALLING, TIMEOUT): (TERMINATED, (FAIL,)),  # timer B
    (CALLING, ERROR): (TERMINATED, (FAIL,)),
    (CALLING, R1XX): (PROCEEDING, (SETTLE, TELL)),
    (CALLING, R2XX): (ACCEPTED, (LINGER, TELL)),  # timer M
    (CALLING, R3XX): (COMPLETED, (LINGER, SEND_ACK, TELL)),  # timer D
    (PROCEEDING, R1XX): (PROCEEDING, (TELL,)),
    (PROCEEDING, R2XX): (ACCEPTED, (LINGER, TELL)),
    (PROCEEDING, R3XX): (COMPLETED, (LINGER, SEND_ACK, TELL)),
    (PROCEEDING, CANCELLED): (PROCEEDING, (EXPECT,)),
    (PROCEEDING, TIMEOUT): (TERMINATED, (FAIL,)),  # the CANCEL had no effect (9.1)
    (ACCEPTED, R2XX): (ACCEPTED, (TELL,)),
    (ACCEPTED, LINGERED): (TERMINATED, ()),
    (COMPLETED, R3XX): (COMPLETED, (RESEND,)),  # the ACK
    (COMPLETED, LINGERED): (TERMINATED, ()),
}

NON_INVITE_CLIENT: Final[Table] = {  # RFC 3261 figure 6
    (TRYING, RETRY): (TRYING, (RESEND,)),  # timer E
    (TRYING, TIMEOUT): (TERMINATED, (FAIL,)),  # timer F
    (TRYING, ERROR): (TERMINATED, (FAIL,)),
    (TRYING, R1XX): (PROCEEDING, (TELL,)),
    (TRYING, R2XX): (COMPLETED, (LINGER, TELL)),  # timer K
    (TRYING, R3XX): (COMPLETED, (LINGER, TELL)),
    (PROCEEDING, RETRY): (PROCEEDING, (RESEND,)),
    (PROCEEDING, TIMEOUT): (TERMINATED, (FAIL,)),
    (PROCEEDING, ERROR): (TERMINATED, (FAIL,)),
    (PROCEEDING, R1XX): (PROCEEDING, (TELL,)),
    (PROCEEDING, R2XX): (COMPLETED, (LINGER, TELL)),
    (PROCEEDING, R3XX): (COMPLETED, (LINGER, TELL)),
    (COMPLETED, LINGERED): (TERMINATED, ()),
}

INVITE_SERVER: Final[Table] = {  # RFC 3261 figure 7; ACCEPTED: RFC 6026 7.1
    (PROCEEDING, REQUEST): (PROCEEDING, (RESEND,)),
    (PROCEEDING, S1XX): (PROCEEDING, (SEND,)),
    (PROCEEDING, S1XX_RELIABLE): (PROCEEDING, (SEND, REPEAT)),  # RFC 3262 3
    (PROCEEDING, RETRY): (PROCEEDING, (RESEND,)),
    (PROCEEDING, PRACKED): (PROCEEDING, (SETTLE,)),
    (PROCEEDING, TIMEOUT): (PROCEEDING, (SETTLE, FAIL)),  # no PRACK: our user refuses
    (PROCEEDING, S2XX): (ACCEPTED, (SEND, REPEAT)),  # the 2xx is ours to repeat (13.3.1.4)
    (PROCEEDING, S3XX): (COMPLETED, (SEND, REPEAT)),  # timers G, H
    (ACCEPTED, RETRY): (ACCEPTED, (RESEND,)),
    (ACCEPTED, ACK): (CONFIRMED, (LINGER, TELL)),  # for timer L: who has the 2xx asks no more
    (ACCEPTED, TIMEOUT): (TERMINATED, (FAIL,)),  # no ACK: our user ends the call
    (COMPLETED, REQUEST): (COMPLETED, (RESEND,)),
    (COMPLETED, RETRY): (COMPLETED, (RESEND,)),  # timer G
    (COMPLETED, ACK): (CONFIRMED, (LINGER,)),  # timer I
    (COMPLETED, TIMEOUT): (TERMINATED, ()),  # timer H: refused already, nothing to tell
    (CONFIRMED, LINGERED): (TERMINATED, ()),
}

NON_INVITE_SERVER: Final[Table] = {  # RFC 3261 figure 8; no 408, no 1xx but 100: RFC 4320
    (TRYING, S1XX): (PROCEEDING, (SEND,)),
    (TRYING, S2XX): (COMPLETED, (SEND, LINGER)),  # timer J
    (TRYING, S3XX): (COMPLETED, (SEND, LINGER)),
    (TRYING, TIMEOUT): (TERMINATED, ()),  # too late for any answer (RFC 4320 4.2)
    (PROCEEDING, REQUEST): (PROCEEDING, (RESEND,)),
    (PROCEEDING, S2XX): (COMPLETED, (SEND, LINGER)),
    (PROCEEDING, S3XX): (COMPLETED, (SEND, LINGER)),
    (PROCEEDING, TIMEOUT): (TERMINATED, ()),
    (COMPLETED, REQUEST): (COMPLETED, (RESEND,)),
    (COMPLETED, LINGERED): (TERMINATED, ()),
}
