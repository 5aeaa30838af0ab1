"""WHAT IT COSTS: pure, exact. Knows money and plans, not SIP."""
