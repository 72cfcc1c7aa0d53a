"""The interfaces that plugins implement: spaces, strategies, estimators, tasks, synthesizers, exporters.

Written for plugin authors. This package uses ``network`` and ``values`` only. Begin with the module
of the kind you are writing; ``target`` describes an FPGA part, ``knob`` one choice in a space.
"""
