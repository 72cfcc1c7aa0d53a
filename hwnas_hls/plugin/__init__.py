"""Plugins: finding and building them, their faults, and running them in other processes.

It uses ``protocols``, ``hookspecs`` and ``spec.configuration``. Begin with ``registry``; ``isolation``
and ``worker`` are the two ends of a plugin that runs in a process of its own.
"""
