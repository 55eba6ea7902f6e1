"""Differentiable augmentation of all that D sees, the dict `AUGMENTATIONS`, and ADA's control of its probability.

Real and generated examples are augmented alike, in D's step and in G's, and G's gradient flows through: so D cannot
learn the training set by heart, and G does not learn to make augmented images. Zhao et al. 2020 (DiffAugment),
https://arxiv.org/abs/2006.10738; Karras et al. 2020 (ADA), https://arxiv.org/abs/2006.06676

Each augmentation is `(image [H, W, C], key, bounds) -> image` for any number of channels, `bounds` = (low, high) the
range of the images. Constants are of the paper's code, which is for (-1, 1), and scale with the range: augmenting
commutes with the change from one range to another. What comes from outside of the image is the middle of the range.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
from jax import lax

Array = jax.Array
Bounds = tuple[float, float]


def color(image: Array, key: Array, bounds: Bounds = (-1.0, 1.0)) -> Array:
    """Brightness, then saturation, then contrast, each by a draw per image.

    x + b with b ~ U(-1/4, 1/4) of the range; m + s (x - m) with s ~ U(0, 2) and m the mean over the channels of each
    pixel, so of one channel nothing changes; m + c (x - m) with c ~ U(1/2, 3/2) and m the mean of the whole image.
    """
    u = jax.random.uniform(key, (3,), jnp.float32).astype(image.dtype)
    low, high = bounds
    image = image + (u[0] - 0.5) * (0.5 * (high - low))
    if image.shape[-1] > 1:
        image = _around(jnp.mean(image, axis=-1, keepdims=True), image, 2 * u[1])
    return _around(jnp.mean(image, keepdims=True), image, u[2] + 0.5)


def translation(image: Array, key: Array, bounds: Bounds = (-1.0, 1.0)) -> Array:
    """A shift by whole pixels, uniform from -n/8 to n/8 (rounded, halves up) of the size n in each direction."""
    h, w, c = image.shape
    most = (h + 4) // 8, (w + 4) // 8
    padded = jnp.pad(image, [(m, m) for m in (*most, 0)], constant_values=_middle(bounds))
    y, x = (jax.random.randint(k, (), 0, 2 * m + 1) for k, m in zip(jax.random.split(key), most, strict=True))
    return lax.dynamic_slice(padded, (y, x, 0), (h, w, c))


def cutout(image: Array, key: Array, bounds: Bounds = (-1.0, 1.0)) -> Array:
    """A box of half the size (rounded up) erased, its center anywhere in the image: at a border it is cut off."""
    h, w, _ = image.shape

    def inside(key: Array, n: int) -> Array:
        box = (n + 1) // 2
        # A box of even size has its center between pixels, so there is one place more.
        start = jax.random.randint(key, (), 0, n + 1 - box % 2) - box // 2
        return (jnp.arange(n) >= start) & (jnp.arange(n) < start + box)

    y, x = jax.random.split(key)
    erased = inside(y, h)[:, None, None] & inside(x, w)[None, :, None]
    return jnp.where(erased, jnp.asarray(_middle(bounds), image.dtype), image)


# A new one goes to the end: each draws from the stream of its place.
AUGMENTATIONS: dict[str, Callable[..., Array]] = {"color": color, "translation": translation, "cutout": cutout}


def augment(images: Array, keys: Array, policy: Sequence[str], p: Array, bounds: Bounds = (-1.0, 1.0)) -> Array:
    """Each augmentation of the policy, applied to each image with probability p on its own: [B, H, W, C].

    Args:
      images: [B, H, W, C].
      keys: typed keys [B], one per example of the global batch; other ones for real, generated and each step.
      policy: names in `AUGMENTATIONS`, applied in this order.
      p: scalar; 1 is DiffAugment, 0 exactly the identity.
      bounds: the range of the images.

    Raises:
      ValueError: these are no images.
    """
    if images.ndim != 4:
        raise ValueError(f"augmentation is for images [B, H, W, C], not for examples of shape {images.shape}.")
    names = list(AUGMENTATIONS)

    def one(image: Array, key: Array) -> Array:
        for name in policy:
            chance, draw = jax.random.split(jax.random.fold_in(key, names.index(name)))
            applied = jax.random.uniform(chance, (), jnp.float32) < p
            image = jnp.where(applied, AUGMENTATIONS[name](image, draw, bounds), image)
        return image

    return jax.vmap(one)(images, keys)


class Ada(NamedTuple):
    """How ADA moves the probability p of augmentations.

    Attributes:
      target: of the mean sign of D's logits on real examples.
      kimg: how many thousand real examples take p from 0 to 1.
      first_p: p before the first update.
      interval: number of D's minibatches from one change of p to the next.
    """

    target: float
    kimg: float
    first_p: float
    interval: int


@flax.struct.dataclass
class AdaSigns:
    """The signs that ADA has collected since it last changed its probability.

    Attributes:
      total: f[], the sum over minibatches of the mean sign.
      minibatches: i32[], how many those were.
    """

    total: Array
    minibatches: Array

    @classmethod
    def start(cls) -> AdaSigns:
        """Returns an empty collection."""
        return cls(jnp.zeros(()), jnp.zeros((), jnp.int32))

    def add(self, sign: Array) -> AdaSigns:
        """Adds the mean sign of one more minibatch."""
        return AdaSigns((self.total + sign).astype(self.total.dtype), self.minibatches + 1)

    def emptied(self, where: Array) -> AdaSigns:
        """Starts again where the condition holds."""
        return jax.tree.map(lambda x: jnp.where(where, jnp.zeros_like(x), x), self)

    @property
    def mean(self) -> Array:
        """The mean sign of all examples collected."""
        return self.total / self.minibatches.astype(self.total.dtype)


def ada_update(p: Array, sign_mean: Array, examples: int | Array, target: Array, kimg: Array) -> Array:
    """Computes ADA's next probability: higher where D overfits, which is where r_t = E sign(D(x)) > target, else lower.

    p + sign(r_t - target) examples / (1000 kimg), kept within [0, 1]: `kimg` thousand examples take it from 0 to 1.
    The authors' program sets no upper bound, but a p beyond 1 draws like 1, and must first fall below 1 again before
    anything changes.

    Args:
      p: f[], the probability so far.
      sign_mean: f[], r_t: mean over real examples of the sign of D's logit from where D is undecided, +1 on the side
        of real. About 0 in the beginning, 1 where D knows every real example.
      examples: number of real examples seen since the last update.
      target: 0.6 in the paper.
      kimg: 500 in the paper.

    >>> [round(float(ada_update(jnp.float32(0.5), r, 5000, 0.6, 500)), 3) for r in (0.9, 0.6, 0.1)]
    [0.51, 0.5, 0.49]
    """
    step = jnp.sign(sign_mean - target) * (jnp.asarray(examples, float) / (1000 * kimg))
    return jnp.clip(p + step, 0, 1).astype(p.dtype)


def _around(mean: Array, image: Array, factor: Array) -> Array:
    return (image - mean) * factor + mean


def _middle(bounds: Bounds) -> float:
    return sum(bounds) / 2
