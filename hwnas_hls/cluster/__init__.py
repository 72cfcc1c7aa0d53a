"""Training and synthesis on worker processes, on this machine or a cluster, through dask.distributed.

The main process proposes, decides and records; workers only compute. Each worker receives the data
of the task once, and then chunks of a batch as tasks. Without the extra ``cluster``, this package can
be imported, and reports what to install if workers are requested.
"""

from hwnas_hls.cluster.workers import ClusterLost, ClusterSetup, Workers, require

__all__ = ["ClusterLost", "ClusterSetup", "Workers", "require"]
