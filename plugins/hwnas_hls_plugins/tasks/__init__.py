"""The built-in tasks: handwritten digits, jets, and the user's data file (``file_task``).

They use the engine only. Begin with ``digits``.
"""
