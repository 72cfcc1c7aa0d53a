"""The interfaces that plugins implement: spaces, strategies, estimators, tasks, synthesizers, exporters.

This is what the author of a plugin reads; it uses ``network`` and ``values`` only. Begin with the
module of the kind you are writing; ``target`` describes the part, ``knob`` one choice of a space.
"""
