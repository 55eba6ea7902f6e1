"""Keeps compiled programs on disk, so that the next start of a run need not compile them again."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import platform
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from jaxgan.metrics.weights import cache_path

OFF = "JAXGAN_COMPILATION_CACHE"  # environment variable; "off" ends it
LIMITS = {  # unless the user sets others
    "jax_compilation_cache_max_size": 2 * 2**30,  # bytes of a machine's programs; the least recently used go first
    "jax_persistent_cache_min_compile_time_secs": 0.2,  # programs that compile faster are not worth a file
}
FAULTS = r"Error (reading|writing) persistent compilation cache entry"  # the beginning of JAX's warnings


def use_cache() -> Path | None:
    """Turns on JAX's persistent compilation cache, unless the user has chosen a place or turned it off.

    The cache lies in `$JAXGAN_CACHE/programs` or `~/.cache/jaxgan/programs`. Only the same program, for the same kind
    of processor and number of threads, compiled by the same version, is taken from it, so results do not change.
    Several processes may use it at once; an entry that is damaged or cannot be written costs a warning, not the run.
    `JAX_COMPILATION_CACHE_DIR` moves it; `JAXGAN_COMPILATION_CACHE=off` ends it.

    Returns:
      Where programs are kept; None: they are not.
    """
    config: Any = jax.config  # which declares none of its values
    if not config.jax_enable_compilation_cache:
        return None
    if chosen := config.jax_compilation_cache_dir:
        return Path(chosen)
    if os.environ.get(OFF, "").lower() in ("off", "0", "false", "no"):
        return None
    place = cache_path(f"programs/{_machine()}")
    try:
        place.mkdir(parents=True, exist_ok=True)
        usable = os.access(place, os.W_OK | os.X_OK)
    except OSError:
        usable = False
    if not usable:  # a read-only home, say
        return None
    for name, value in LIMITS.items():
        if name.upper() not in os.environ:
            config.update(name, value)
    config.update("jax_compilation_cache_dir", os.fspath(place))
    _forget_that_there_was_none()
    return place


@contextlib.contextmanager
def mending(place: Path | None) -> Iterator[None]:
    """Within, an entry of the cache that cannot be read is deleted, and one line says that it is made anew.

    JAX compiles such a program again too, but it neither replaces the entry nor warns in one line.
    """
    if place is None:
        yield
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("always", FAULTS)
        before = warnings.showwarning

        def show(message, category, filename, lineno, file=None, line=None):
            if not (fault := re.match(rf"{FAULTS} for '(.*?)': (.*)", str(message), re.DOTALL)):
                before(message, category, filename, lineno, file, line)
                return
            doing, program, reason = fault.groups()
            if doing == "reading":
                for entry in place.glob(f"{glob.escape(program)}-*-cache"):
                    entry.unlink(missing_ok=True)
            after = "it is compiled again" if doing == "reading" else "it is not kept"
            reason = " ".join(reason.split())[:200]
            print(f"{doing} {program} in the cache of programs {place} failed: {after} ({reason})", flush=True)

        warnings.showwarning = show
        yield


def _forget_that_there_was_none() -> None:
    """Makes JAX look for a cache again where it has compiled something before there was one."""
    from jax.experimental.compilation_cache import compilation_cache

    compilation_cache.reset_cache()


def _machine() -> str:
    """8 hex digits that stand for what compiled code depends on besides what JAX's own key holds.

    Code for one CPU may use instructions that another lacks, and how the work is cut into parts depends on the number
    of threads.
    """
    threads = os.environ.get("PJRT_NPROC", "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parts = (platform.machine(), platform.processor(), _cpu_flags(), threads, cores)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:8]


def _cpu_flags() -> str:
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith(("flags", "Features")):
                return line
    return ""
