"""The evaluation of a batch of candidates: estimators, limits, early stopping.

It uses ``run.storage`` and the resolved problem. Begin with ``judge``, which evaluates one batch;
``estimator_calls`` asks one estimator, ``halving`` and ``forecast`` decide which trainings continue.
"""
