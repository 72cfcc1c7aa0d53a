"""Designs that exist before a search: the user's own and those of earlier runs.

They are judged before the search. It uses ``run.judging`` and ``run.storage``. Begin with ``sources``,
which collects them; ``designs`` judges them.
"""
