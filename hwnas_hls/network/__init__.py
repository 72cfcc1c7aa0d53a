"""Networks, defined to the bit: fixed-point types, layers, architectures, trained designs, emulation.

This package contains arithmetic and frozen values only, and uses only ``errors``. Begin with
``architecture`` (the shared layer list), then ``design`` (weights) and ``emulator`` (outputs).
"""
