"""The spec of a run: its TOML tables, their defaults and checks, and how quantities are written.

It uses ``values`` and ``protocols``. Begin with ``spec``, then ``tables``; ``configuration`` turns any
TOML table into a checked dataclass, ``notation`` formats numbers with units for people.
"""
