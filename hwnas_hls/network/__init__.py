"""What a network is, to the bit: fixed-point types, layers, architectures, trained designs, emulation.

Everything here is arithmetic and frozen values; it uses only ``errors``. Begin with ``architecture``
(the layer list that everyone shares), then ``design`` (its integers) and ``emulator`` (its outputs).
"""
