"""STATE: who is in which phase. Pure; told the time, says what to do."""
