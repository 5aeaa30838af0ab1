"""THE B2BUA: coroutines that read like the description of a call."""
