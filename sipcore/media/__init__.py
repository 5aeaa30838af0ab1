"""SOUND: RTP in, matrices, RTP out."""
