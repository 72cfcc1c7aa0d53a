"""What a run keeps on disk between its steps: records, estimators' answers, measurements, exported designs.

It uses only packages below ``run``. Begin with ``store``, an append-only SQLite file.
"""
