"""TEXT: what a SIP message says. Pure: no clock, socket, task or randomness."""
