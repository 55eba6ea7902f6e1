"""Reads data sets, and makes batches of them as pure functions of seed and number."""

from jaxgan.data.arrays import as_source, from_arrays
from jaxgan.data.pipeline import batch_indices, check_range, make_batch, prefetch, to_floats
from jaxgan.data.source import Source
from jaxgan.data.sources import SOURCES, choose, load, synthetic_modes

__all__ = [
    "SOURCES",
    "Source",
    "as_source",
    "batch_indices",
    "check_range",
    "choose",
    "from_arrays",
    "load",
    "make_batch",
    "prefetch",
    "synthetic_modes",
    "to_floats",
]
