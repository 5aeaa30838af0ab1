"""Benches: what sipcore costs and how far it goes, in figures that can be taken again.

Each bench starts what it measures, loads it, ends it and returns a Report.
README.md has the method.
"""
