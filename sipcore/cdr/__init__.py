"""WHAT HAPPENED: the record of an attempt and the journal that never loses it."""
