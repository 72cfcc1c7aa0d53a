"""Plugins: discovery, construction, fault handling, and isolation in separate processes.

It uses ``protocols``, ``hookspecs`` and ``spec.configuration``. Begin with ``registry``; for a plugin
in a separate process, ``isolation`` is the parent's side and ``worker`` the child's.
"""
