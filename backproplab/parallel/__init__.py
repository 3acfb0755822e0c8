"""Replicas that agree: groups, averaged gradients, shared statistics, the ring.

``LocalGroup`` runs replicas in one process, ``MPIGroup`` is a rank of a real MPI job,
``cluster`` starts such a job from a notebook. All else works on either.
"""

from typing import TYPE_CHECKING

from ..errors import unknown
from . import ring
from .buckets import average_gradients
from .data_parallel import DataParallel
from .engines import ClusterError, cluster
from .group import CollectiveError, Group, ReplicaError, Traffic
from .local import LocalGroup
from .mpi import MPIGroup
from .sync_batch_norm import SyncBatchNorm
from .waiting import MissingError

__all__ = [
    "ClusterError",
    "CollectiveError",
    "DataParallel",
    "Group",
    "LocalGroup",
    "MPIGroup",
    "MissingError",
    "ReplicaError",
    "SyncBatchNorm",
    "Traffic",
    "average_gradients",
    "cluster",
    "ring",
]

if not TYPE_CHECKING:  # which shall find misspelt names itself
    __getattr__ = unknown(globals())
