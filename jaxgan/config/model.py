"""The keys of the sections `model` and `infogan`: the two networks, and the codes that G is given."""

from __future__ import annotations

from dataclasses import dataclass

from jaxgan.config.fields import Names, check_fields, key
from jaxgan.errors import UserError

Z_DISTRIBUTIONS = ("normal", "uniform")


@dataclass(frozen=True)
class ModelConfig:
    """The two networks."""

    architecture: str = key(
        "dcgan",
        "Pair of networks: mlp for points, the others for images of the sizes that their articles use.",
        allowed=Names("jaxgan.architectures", "ARCHITECTURES"),
    )
    z_dim: int = key(128, "Length of the generator's input z.", least=1)
    z_distribution: str = key(
        "normal", "Distribution of z: normal N(0, 1), or uniform U(-1, 1), in each coordinate.", allowed=Z_DISTRIBUTIONS
    )
    base_features: int = key(64, "Number of channels at the largest image size, or of units in mlp.", least=1)
    channel_multipliers: tuple[int, ...] = key(
        (),
        "Multiples of base_features, one per layer from the largest image down; empty doubles at each layer.",
        least=1,
    )
    g_kernel_sizes: tuple[int, ...] = key(
        (4,), "Kernel sizes of G's convolutions: one for all layers, or one per layer from z on.", allowed=(3, 4, 5)
    )
    d_kernel_sizes: tuple[int, ...] = key(
        (4,),
        "Kernel sizes of D's convolutions: one for all layers, or one per layer from the image on.",
        allowed=(3, 4, 5),
    )
    output: str = key(
        "tanh",
        "G's last function: tanh makes images in [-1, 1], sigmoid images in [0, 1], linear points.",
        allowed=Names("jaxgan.architectures.base", "OUTPUT_ACTIVATIONS"),
    )
    g_spectral_norm: bool = key(False, "Whether G's weights are divided by their spectral norm.")
    d_spectral_norm: bool = key(True, "Whether D's weights are divided by their spectral norm.")
    g_batch_norm: bool = key(True, "Whether G has batch norm.")
    d_batch_norm: bool = key(False, "Whether D has batch norm.")
    g_conditioning: str = key(
        "none",
        "How G learns the class: not at all, by an embedding beside z (concat), or by batch norm's gains and biases "
        "for each class (batch_norm). Either both networks are conditional or none is.",
        allowed=Names("jaxgan.architectures.base", "G_CONDITIONINGS"),
    )
    d_conditioning: str = key(
        "none",
        "How D uses the class: not at all, as a further input map (concat), by predicting the class or 'generated' "
        "(class_fake), by a second head that predicts the class (auxiliary), or by projection.",
        allowed=Names("jaxgan.architectures.base", "D_CONDITIONINGS"),
    )
    embedding_dim: int = key(
        128, "Length of the class embeddings that are joined to z or to points, and of biggan's.", least=1
    )
    minibatch_stddev: int = key(
        0, "Number of examples in a group whose standard deviation D sees; 0 means none.", least=2, or_zero=True
    )
    packing: int = key(
        1, "Number of examples that D sees together, stacked in channels, and judges as one (PacGAN).", least=1
    )

    def __post_init__(self):
        check_fields(self, "model")
        if self.packing > 1 and self.g_conditioning != "none":
            raise UserError(
                f"model.packing is {self.packing}, but examples judged as one would need one class: set it to 1, or "
                "model.g_conditioning and model.d_conditioning to 'none'."
            )
        from jaxgan.architectures import ARCHITECTURES

        for name in ARCHITECTURES[self.architecture].lacks:
            if getattr(self, name):
                raise UserError(f"model.{name} is True, but {self.architecture} has no such layers: set it to False.")
        self._check_conditioning()
        for name in ("g_kernel_sizes", "d_kernel_sizes"):
            if not getattr(self, name):
                raise UserError(f"model.{name} is empty: allowed are 3, 4 and 5, one for all layers or one per layer.")

    def _check_conditioning(self) -> None:
        from jaxgan.architectures import D_CONDITIONINGS, G_CONDITIONINGS

        if self.d_conditioning != "none" and self.g_conditioning == "none":
            raise UserError(
                f"model.d_conditioning {self.d_conditioning!r} judges generated examples by their class, which only "
                f"a conditional generator gives them: set model.g_conditioning to {' or '.join(G_CONDITIONINGS[1:])}."
            )
        if self.g_conditioning != "none" and self.d_conditioning == "none":
            raise UserError(
                f"model.g_conditioning is {self.g_conditioning!r}, but a discriminator without classes leaves the "
                f"generator free to ignore them: set model.d_conditioning to one of {', '.join(D_CONDITIONINGS[1:])}."
            )
        if self.g_conditioning == "batch_norm" and not self.g_batch_norm:
            raise UserError(
                "model.g_conditioning 'batch_norm' needs batch norm in G: set model.g_batch_norm to True, or "
                "model.g_conditioning to 'concat'."
            )


@dataclass(frozen=True)
class InfoganConfig:
    """InfoGAN's codes, which G gets beside z and which further heads of D read back; none by default."""

    categorical: tuple[int, ...] = key((), "Number of values of each categorical code; empty means none.", least=2)
    continuous: int = key(0, "Number of continuous codes.", least=0)
    distribution: str = key(
        "uniform",
        "Distribution of the continuous codes: uniform U(-1, 1), or normal N(0, 1).",
        allowed=Names("jaxgan.techniques.infogan", "DISTRIBUTIONS"),
    )
    reconstruct_z: bool = key(False, "Whether z is read back too.")
    weight: float = key(
        1.0, "Weight of the codes' loss, which an optimizer of its own minimizes over both networks.", least=0
    )
    learning_rate: float | None = key(
        None, "Learning rate of that optimizer, whose other constants are g_optim's; None takes g_optim's.", least=0
    )

    def __post_init__(self):
        check_fields(self, "infogan")
        if self.reconstruct_z and not self.on:
            raise UserError(
                "infogan.reconstruct_z is True, but there are no codes: set infogan.categorical or infogan.continuous."
            )

    @property
    def on(self) -> bool:
        """Whether there are codes."""
        return bool(self.categorical or self.continuous)
