"""Training and synthesis on worker processes, here or on a cluster, through dask.distributed.

The main process proposes, decides and records; workers only compute. They get the data of the
task once each, and then chunks of a batch as tasks. Without the extra ``cluster`` this package
can be imported, and says what to install once workers are asked for.
"""

from hwnas_hls.cluster.workers import ClusterLost, ClusterSetup, Workers, require

__all__ = ["ClusterLost", "ClusterSetup", "Workers", "require"]
