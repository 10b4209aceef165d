"""MeshAG: a terminal tool that shows a DBA what is slow, why, and what would help, and does it with one key."""

__version__ = "0.1.0"
