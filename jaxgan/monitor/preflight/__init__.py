"""Checks a run before its first step, by numbers of its data, batches and new networks.

The facts are pure functions of arrays; `remarks` makes sentences of those that are off. `jaxgan.training.preflight`
collects them for a run.
"""

from jaxgan.monitor.preflight.checks import CHECKS, Check, Remark, remarks
from jaxgan.monitor.preflight.measurements import Facts, of_batches, of_images, of_labels, of_networks, of_points

__all__ = [
    "CHECKS",
    "Check",
    "Facts",
    "Remark",
    "of_batches",
    "of_images",
    "of_labels",
    "of_networks",
    "of_points",
    "remarks",
]
