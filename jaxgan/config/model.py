"""The two networks."""

from __future__ import annotations

from dataclasses import dataclass

from jaxgan.config.fields import at_least, check_types, one_of
from jaxgan.errors import UserError

OUTPUTS = ("tanh", "sigmoid", "linear")
Z_DISTRIBUTIONS = ("normal", "uniform")


@dataclass(frozen=True)
class ModelConfig:
    """The two networks."""

    architecture: str = "dcgan"
    z_dim: int = 128
    z_distribution: str = "normal"  # normal N(0, 1) | uniform U(-1, 1)
    base_features: int = 64
    channel_multipliers: tuple[int, ...] = ()  # of base_features, from the largest image down; empty: doubling
    g_kernel_sizes: tuple[int, ...] = (4,)  # one for all layers, or one per layer from the input on
    d_kernel_sizes: tuple[int, ...] = (4,)
    output: str = "tanh"  # tanh: images in [-1, 1] | sigmoid: [0, 1] | linear: points
    g_spectral_norm: bool = False
    d_spectral_norm: bool = True
    g_batch_norm: bool = True
    d_batch_norm: bool = False
    # How the networks take notice of the examples' classes; both or neither.
    g_conditioning: str = "none"  # none | concat: embedding beside z | batch_norm: gains and biases for each class
    d_conditioning: str = "none"  # none | concat: an embedding as a further map | class_fake | auxiliary | projection
    embedding_dim: int = 128  # length of the embeddings that are concatenated with z or points, and of biggan's
    minibatch_stddev: int = 0  # examples in a group, whose standard deviation D sees; 0: it does not
    packing: int = 1  # PacGAN: examples that D sees side by side in channels and judges as one

    def __post_init__(self):
        from jaxgan.architectures import ARCHITECTURES, D_CONDITIONINGS, G_CONDITIONINGS

        check_types(self, "model")
        one_of("model.architecture", self.architecture, ARCHITECTURES)
        one_of("model.z_distribution", self.z_distribution, Z_DISTRIBUTIONS)
        one_of("model.output", self.output, OUTPUTS)
        at_least("model.z_dim", self.z_dim, 1)
        at_least("model.base_features", self.base_features, 1)
        at_least("model.embedding_dim", self.embedding_dim, 1)
        at_least("model.packing", self.packing, 1)
        if self.packing > 1 and self.g_conditioning != "none":
            raise UserError(
                f"model.packing is {self.packing}: examples judged as one would need one class; set it to 1, or "
                "g_conditioning and d_conditioning to 'none'."
            )
        for name in ARCHITECTURES[self.architecture].lacks:
            if getattr(self, name):
                raise UserError(f"model.{name} is True, but {self.architecture} has no such layers: set it to False.")
        self._check_conditioning(G_CONDITIONINGS, D_CONDITIONINGS)
        for multiplier in self.channel_multipliers:
            at_least("model.channel_multipliers", multiplier, 1)
        for name in ("g_kernel_sizes", "d_kernel_sizes"):
            sizes = getattr(self, name)
            if not sizes or any(size not in (3, 4, 5) for size in sizes):
                raise UserError(
                    f"model.{name} is {sizes}: allowed are 3, 4 and 5, one for all layers or one per layer."
                )

    def _check_conditioning(self, of_g: tuple[str, ...], of_d: tuple[str, ...]) -> None:
        one_of("model.g_conditioning", self.g_conditioning, of_g)
        one_of("model.d_conditioning", self.d_conditioning, of_d)
        if self.d_conditioning != "none" and self.g_conditioning == "none":
            raise UserError(
                f"model.d_conditioning {self.d_conditioning!r} judges generated examples by their class, which only a "
                f"class-conditional generator gives them: set model.g_conditioning to one of {', '.join(of_g[1:])}."
            )
        if self.g_conditioning != "none" and self.d_conditioning == "none":
            raise UserError(
                f"model.g_conditioning is {self.g_conditioning!r}, but a discriminator that knows of no classes leaves "
                f"the generator free to ignore them: set model.d_conditioning to one of {', '.join(of_d[1:])}."
            )
        if self.g_conditioning == "batch_norm" and not self.g_batch_norm:
            raise UserError("model.g_conditioning 'batch_norm' needs model.g_batch_norm, which is False.")
        if self.minibatch_stddev and self.minibatch_stddev < 2:
            raise UserError(
                f"model.minibatch_stddev is {self.minibatch_stddev}: it must be 0 (none) or a group of at least 2."
            )


@dataclass(frozen=True)
class InfoganConfig:
    """InfoGAN's codes, which G gets beside z and D's heads read back; none by default."""

    categorical: tuple[int, ...] = ()  # the number of values of each categorical code
    continuous: int = 0  # how many continuous codes
    distribution: str = "uniform"  # of the continuous: uniform U(-1, 1) | normal N(0, 1)
    reconstruct_z: bool = False  # read the noise back too
    weight: float = 1.0  # of the codes' loss, which an optimizer of its own minimizes over both networks
    learning_rate: float | None = None  # of that optimizer, whose other constants are g_optim's; None: g_optim's

    def __post_init__(self):
        from jaxgan.techniques.infogan import DISTRIBUTIONS

        check_types(self, "infogan")
        for size in self.categorical:
            at_least("infogan.categorical", size, 2)
        at_least("infogan.continuous", self.continuous, 0)
        one_of("infogan.distribution", self.distribution, DISTRIBUTIONS)
        at_least("infogan.weight", self.weight, 0)
        at_least("infogan.learning_rate", self.learning_rate or 0, 0)
        if self.reconstruct_z and not self.on:
            raise UserError(
                "infogan.reconstruct_z is True, but there are no codes: set infogan.categorical or infogan.continuous."
            )

    @property
    def on(self) -> bool:
        """Whether there are codes."""
        return bool(self.categorical or self.continuous)
