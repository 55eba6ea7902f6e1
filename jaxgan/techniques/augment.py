"""Augments everything that D sees, differentiably, and adapts the probability of doing so (ADA).

Real and generated examples are augmented in the same way, in D's step and in G's, and G's gradient flows through the
augmentation. So D cannot learn the training set by heart, and G does not learn to make augmented images.
Zhao et al. 2020 (DiffAugment), https://arxiv.org/abs/2006.10738; Karras et al. 2020 (ADA),
https://arxiv.org/abs/2006.06676

Each entry of `AUGMENTATIONS` is a function `(image [H, W, C], key, bounds) -> image` for any number of channels, where
`bounds` = (low, high) is the range of the images. The constants are those of DiffAugment's program for (-1, 1), scaled
to the range. Pixels from outside the image have the value in the middle of the range.
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
    """Changes brightness, then saturation, then contrast, each by one random number for the image.

    * Brightness: x + b, with b ~ U(-1/4, 1/4) of the range.
    * Saturation: m + s (x - m), with s ~ U(0, 2) and m the mean over the channels of each pixel. An image of one
      channel stays as it is.
    * Contrast: m + c (x - m), with c ~ U(1/2, 3/2) and m the mean of the whole image.
    """
    u = jax.random.uniform(key, (3,), jnp.float32).astype(image.dtype)
    low, high = bounds
    image = image + (u[0] - 0.5) * (0.5 * (high - low))
    if image.shape[-1] > 1:
        image = _around(jnp.mean(image, axis=-1, keepdims=True), image, 2 * u[1])
    return _around(jnp.mean(image, keepdims=True), image, u[2] + 0.5)


def translation(image: Array, key: Array, bounds: Bounds = (-1.0, 1.0)) -> Array:
    """Shifts by whole pixels in both directions, uniformly from -n/8 to n/8 (rounded, halves up) for size n."""
    h, w, c = image.shape
    most = (h + 4) // 8, (w + 4) // 8
    padded = jnp.pad(image, [(m, m) for m in (*most, 0)], constant_values=_middle(bounds))
    y, x = (jax.random.randint(k, (), 0, 2 * m + 1) for k, m in zip(jax.random.split(key), most, strict=True))
    return lax.dynamic_slice(padded, (y, x, 0), (h, w, c))


def cutout(image: Array, key: Array, bounds: Bounds = (-1.0, 1.0)) -> Array:
    """Erases a box of half the size (rounded up) around a random pixel; the part outside the image is cut off."""
    h, w, _ = image.shape

    def inside(key: Array, n: int) -> Array:
        box = (n + 1) // 2
        # A box of even size has its center between pixels, so it has one more possible place.
        start = jax.random.randint(key, (), 0, n + 1 - box % 2) - box // 2
        return (jnp.arange(n) >= start) & (jnp.arange(n) < start + box)

    y, x = jax.random.split(key)
    erased = inside(y, h)[:, None, None] & inside(x, w)[None, :, None]
    return jnp.where(erased, jnp.asarray(_middle(bounds), image.dtype), image)


# Add new ones at the end: the position of each selects its random stream.
AUGMENTATIONS: dict[str, Callable[..., Array]] = {"color": color, "translation": translation, "cutout": cutout}


def augment(images: Array, keys: Array, policy: Sequence[str], p: Array, bounds: Bounds = (-1.0, 1.0)) -> Array:
    """Applies each augmentation of a policy to each image with probability p, independently.

    Args:
      images: [B, H, W, C].
      keys: typed keys [B], one for each example of the global batch, different for real and generated examples and for
        each step.
      policy: names in `AUGMENTATIONS`, applied in this order.
      p: scalar; 1 is DiffAugment, 0 is exactly the identity.
      bounds: lowest and highest value of the images.

    Returns:
      [B, H, W, C].

    Raises:
      ValueError: `images` does not have four axes.
    """
    if images.ndim != 4:
        raise ValueError(f"Augmentation needs images [B, H, W, C], not examples of shape {images.shape}.")
    names = list(AUGMENTATIONS)

    def one(image: Array, key: Array) -> Array:
        for name in policy:
            chance, draw = jax.random.split(jax.random.fold_in(key, names.index(name)))
            applied = jax.random.uniform(chance, (), jnp.float32) < p
            image = jnp.where(applied, AUGMENTATIONS[name](image, draw, bounds), image)
        return image

    return jax.vmap(one)(images, keys)


class Ada(NamedTuple):
    """Holds the constants by which ADA changes the probability p of augmentations.

    Attributes:
      target: mean sign of D's logits on real examples above which p grows.
      kimg: number of thousand real examples that take p from 0 to 1.
      first_p: p before the first update.
      interval: number of D's minibatches from one change of p to the next.
    """

    target: float
    kimg: float
    first_p: float
    interval: int


@flax.struct.dataclass
class AdaSigns:
    """Collects the signs of D's logits since ADA last changed its probability.

    Attributes:
      total: f[], sum over minibatches of the mean sign.
      minibatches: i32[], number of minibatches.
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
        """Returns an empty collection where the condition holds, else this one."""
        return jax.tree.map(lambda x: jnp.where(where, jnp.zeros_like(x), x), self)

    @property
    def mean(self) -> Array:
        """Mean sign of all examples collected."""
        return self.total / self.minibatches.astype(self.total.dtype)


def ada_update(p: Array, sign_mean: Array, examples: int | Array, target: Array, kimg: Array) -> Array:
    """Returns ADA's next probability: higher if D overfits, r_t = E sign(D(x)) > target, else lower.

    It is p + sign(r_t - target) examples / (1000 kimg), clipped to [0, 1], so that `kimg` thousand examples can take it
    from 0 to 1. The authors' program sets no upper bound, but draws with a p above 1 as with 1. Its p then takes longer
    to fall below 1 again.

    Args:
      p: f[], the probability so far.
      sign_mean: f[], r_t, the mean over real examples of the sign of D's logit minus the logit at which D is undecided;
        positive means real. It is about 0 at the beginning, and 1 if D recognizes every real example.
      examples: number of real examples since the last update.
      target: 0.6 in the article.
      kimg: 500 in the article.

    >>> [round(float(ada_update(jnp.float32(0.5), r, 5000, 0.6, 500)), 3) for r in (0.9, 0.6, 0.1)]
    [0.51, 0.5, 0.49]
    """
    step = jnp.sign(sign_mean - target) * (jnp.asarray(examples, float) / (1000 * kimg))
    return jnp.clip(p + step, 0, 1).astype(p.dtype)


def _around(mean: Array, image: Array, factor: Array) -> Array:
    return (image - mean) * factor + mean


def _middle(bounds: Bounds) -> float:
    return sum(bounds) / 2
