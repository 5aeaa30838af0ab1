"""PEOPLE AND MACHINES OUTSIDE: pages, metrics, health."""
