"""Networks, defined to the bit: fixed-point types, layers, architectures, trained designs, emulation.

This package contains arithmetic and frozen values only; of the other packages, it uses only ``errors``
and ``system.files``. Begin with ``architecture`` (the shared layer list), then ``design`` (weights) and
``emulator`` (outputs).
"""
