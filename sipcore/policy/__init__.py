"""MAY THEY: pure decisions over a snapshot. Knows numbers and accounts, not SIP."""
