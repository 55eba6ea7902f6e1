"""Bundles everything static in `GAN`, whose `build` is the only place where names become objects."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax

from jaxgan.architectures import ARCHITECTURES
from jaxgan.architectures.own_modules import check_discriminator, check_generator
from jaxgan.config.config import Config, OptimConfig, as_config
from jaxgan.errors import UserError, listed
from jaxgan.monitor.gradients import Layer, layers_of
from jaxgan.steps.state import AveragedNet, GANState, NetState
from jaxgan.techniques.augment import Ada, AdaSigns
from jaxgan.techniques.infogan import HEAD, Codes
from jaxgan.techniques.label_tricks import TrickHyper
from jaxgan.techniques.losses import LOSSES, GANLoss
from jaxgan.techniques.optim import KINDS, OptimHyper, lazy_adam, schedule_factor
from jaxgan.techniques.penalties import PENALTIES, LeCamAverages, Penalty

Array = jax.Array


@flax.struct.dataclass
class Hyper:
    """Holds the scalars that people sweep, an argument of the step: `vmap` works over it, and no change recompiles.

    Attributes:
      g_optim, d_optim: constants of the optimizers.
      ema_decay: decay of G's average, reached after its warm-up.
      penalty_weights: by name, of those penalties that exist in the program, LeCam and feature matching among them.
      tricks: strengths of the tricks with labels and inputs.
      clip: bound of D's parameters after each update, read where `GAN.clip` holds.
      augment_p: probability of each augmentation for each image, read without ADA.
      g_adversarial_weight: of the adversarial loss in G's.
      class_weight: of the class loss in both networks' losses.
      info_weight: of the codes' loss.
      info_optim: constants of the optimizer of the codes' loss.
    """

    g_optim: OptimHyper
    d_optim: OptimHyper
    ema_decay: Array
    penalty_weights: dict[str, Array]
    tricks: TrickHyper
    clip: Array
    augment_p: Array
    g_adversarial_weight: Array
    class_weight: Array
    info_weight: Array
    info_optim: OptimHyper


@dataclass(frozen=True)
class GAN:
    """Everything static about one game. Two games of the same configuration compile to the same program.

    Attributes:
      generator, discriminator: the networks.
      loss: the adversarial loss.
      penalties: the gradient penalties that are on, by name.
      before_augmentation: whether R1 and R2 are taken at the images before augmentation, through it, as StyleGAN2-ADA's
        and R3GAN's programs do; else at the augmented images.
      interval: number of steps from one step with the gradient penalties to the next.
      lecam, lecam_relu: whether LeCam's penalty is on, and whether in its authors' form.
      feature_matching: whether it is part of G's loss.
      clip: whether D's parameters are clipped after each update.
      label_tricks: whether tricks with labels are in the program.
      noise_steps: number of steps until instance noise is gone; 0: there is none.
      packing: number of examples that D judges as one.
      policy: names of the augmentations.
      bounds: range of the examples.
      ada: how the probability of augmentations adapts; None: it does not.
      codes: InfoGAN's; None: there are none.
      d_conditioning: how D uses classes.
      g_tx, d_tx: map an optimizer's constants to its optax transformation.
      g_schedule, d_schedule: map the number of completed generator updates to a factor of the learning rate.
      shape: of one example.
      z_dim, z_distribution: length and distribution of the latents.
      num_classes: number of classes that both networks are conditioned on; 0: they are called without labels.
      d_steps_per_g_step: number of D's updates in a training step.
      accumulate: number of parts of a batch, one after another.
      order: "d_first" or "g_first".
      axis_name: of the map over devices that the steps run under; None: there is none.
      watch_layers: whether steps return scalars of each layer.
    """

    generator: nn.Module
    discriminator: nn.Module
    loss: GANLoss
    penalties: dict[str, Penalty]
    before_augmentation: bool
    interval: int
    lecam: bool
    lecam_relu: bool
    feature_matching: bool
    clip: bool
    label_tricks: bool
    noise_steps: int
    packing: int
    policy: tuple[str, ...]
    bounds: tuple[float, float]
    ada: Ada | None
    codes: Codes | None
    d_conditioning: str
    g_tx: Callable[[OptimHyper], optax.GradientTransformation]
    d_tx: Callable[[OptimHyper], optax.GradientTransformation]
    g_schedule: Callable[[Array], Array]
    d_schedule: Callable[[Array], Array]
    shape: tuple[int, ...]
    z_dim: int
    z_distribution: str
    num_classes: int
    d_steps_per_g_step: int
    accumulate: int
    order: str
    axis_name: str | None
    watch_layers: bool

    @cached_property
    def layers(self) -> dict[str, tuple[Layer, ...]]:
        """The layers of G and of D whose scalars are logged."""
        if not self.watch_layers:
            return {"g": (), "d": ()}
        g_inputs, d_inputs = _inputs(self)
        return {
            "g": layers_of(self.generator, *g_inputs, train=True),
            "d": layers_of(self.discriminator, *d_inputs, train=True),
        }

    @property
    def reads_real(self) -> bool:
        """Whether G's loss depends on D's output on real examples."""
        return self.loss.relativistic or self.feature_matching

    @property
    def input_dim(self) -> int:
        """Length of the generator's input."""
        return self.z_dim + (self.codes.width if self.codes else 0)

    @property
    def group(self) -> int:
        """Number of successive examples that D compares with each other, by packing or minibatch standard deviation."""
        return max(self.packing, getattr(self.discriminator, "minibatch_stddev", 0), 1)

    @property
    def d_shape(self) -> tuple[int, ...]:
        """The shape of one example that D judges, which packing widens."""
        return (*self.shape[:-1], self.shape[-1] * self.packing)


def build(
    config,
    shape: tuple[int, ...],
    axis_name: str | None = None,
    generator: nn.Module | None = None,
    discriminator: nn.Module | None = None,
    num_classes: int = 0,
) -> GAN:
    """Builds the `GAN` of a configuration.

    Args:
      config: a `Config`, a `ConfigDict` from `jaxgan.defaults()`, or nested dictionaries.
      shape: of one example, (H, W, C) or (features,).
      axis_name: name of the mapped device axis, or None to call the steps outside of any map.
      generator, discriminator: the caller's own Linen modules in place of the architecture's, called as
        `generator(z, train=...)` and `discriminator(x, train=...)`, where the configuration has a conditioning as
        `generator(z, label, train=...)` and `discriminator(x, label, train=...)`; the latter returns `DOutput` or
        logits. They may hold variables of any collection but draw no randomness of their own (no dropout). They are
        checked here, by shapes alone.
      num_classes: of the data; 0: they have no labels.

    Raises:
      UserError: the architecture cannot make examples of this shape, or not in the range of `model.output`, there
        are no classes to be conditioned on, or a module of the caller's own does not fit.

    >>> import jaxgan
    >>> config = jaxgan.Config.from_dict({
    ...     "data": {"source": "synthetic", "name": "ring"},
    ...     "model": {"architecture": "mlp", "output": "linear", "base_features": 4, "channel_multipliers": (1,)},
    ... })
    >>> gan = jaxgan.build(config, shape=(2,))
    >>> gan.shape, gan.input_dim, gan.order
    ((2,), 128, 'd_first')
    """
    config = as_config(config)
    m, info = config.model, config.infogan
    _check_data(config, shape, num_classes)
    num_classes = num_classes if m.g_conditioning != "none" else 0
    codes: Codes | None = None
    if info.on:
        codes = Codes(info.categorical, info.continuous, info.distribution, m.z_dim if info.reconstruct_z else 0)
    own_g, own_d = generator is not None, discriminator is not None
    if generator is None or discriminator is None:
        g, d = _networks(config, shape, axis_name, num_classes, codes)
        generator = g if generator is None else generator
        discriminator = d if discriminator is None else discriminator
    tricks, augment = config.targets, config.augment
    gan = GAN(
        generator=generator,
        discriminator=discriminator,
        loss=LOSSES[config.loss.name],
        penalties={name: p for name, p in PENALTIES.items() if getattr(config.regularizers, name)},
        before_augmentation=config.regularizers.before_augmentation and bool(augment.policy),
        interval=config.regularizers.interval,
        lecam=bool(config.regularizers.lecam),
        lecam_relu=config.regularizers.lecam_relu,
        feature_matching=bool(config.regularizers.feature_matching),
        clip=bool(config.regularizers.clip),
        label_tricks=bool(tricks.label_tricks or tricks.traced) and LOSSES[config.loss.name].term is not None,
        noise_steps=tricks.instance_noise_steps if tricks.instance_noise or tricks.traced else 0,
        packing=m.packing,
        policy=augment.policy,
        bounds=(0.0, 1.0) if m.output == "sigmoid" else (-1.0, 1.0),
        ada=Ada(augment.ada_target, augment.ada_kimg, augment.first_p, augment.ada_interval) if augment.ada else None,
        codes=codes,
        d_conditioning=m.d_conditioning,
        g_tx=KINDS[config.g_optim.kind],
        d_tx=KINDS[config.d_optim.kind],
        g_schedule=_schedule(config.g_optim),
        d_schedule=_schedule(config.d_optim),
        shape=tuple(shape),
        z_dim=m.z_dim,
        z_distribution=m.z_distribution,
        num_classes=num_classes,
        d_steps_per_g_step=config.train.d_steps_per_g_step or 1,
        accumulate=config.train.accumulate,
        order=config.train.order,
        axis_name=axis_name,
        watch_layers=config.monitor.layers,
    )
    g_inputs, d_inputs = _inputs(gan)
    if own_g:
        check_generator(generator, g_inputs, gan.shape, axis_name)
    if own_d:
        check_discriminator(discriminator, d_inputs, axis_name)
    return gan


def _schedule(o: OptimConfig) -> Callable[[Array], Array]:
    """Returns the function from completed generator updates to a factor of the learning rate."""
    return lambda step: schedule_factor(o.schedule, step, o.schedule_steps, o.schedule_end)


def _check_data(config: Config, shape: tuple[int, ...], num_classes: int) -> None:
    """Refuses settings that are for examples of another kind."""
    m = config.model
    if m.g_conditioning != "none" and num_classes < 2:
        what = "only one class" if num_classes else "no classes"
        raise UserError(
            f"model.g_conditioning is {m.g_conditioning!r}, but the data have {what}: it must be 'none', "
            "and so must model.d_conditioning; or give labels (in a folder, a sub-folder for each class or a file "
            "labels.csv; in an .npz file, the array 'label'; in Python, source=(images, labels))."
        )
    if m.output == "linear" and len(shape) == 3:
        raise UserError("model.output 'linear' is for points, but the data are images: set it to 'tanh' or 'sigmoid'.")
    if config.augment.policy and len(shape) != 3:
        raise UserError(f"augment.policy {config.augment.policy} is for images, but the data are points: set it to ().")


def _networks(
    config: Config, shape: tuple[int, ...], axis_name: str | None, num_classes: int, codes: Codes | None
) -> tuple[nn.Module, nn.Module]:
    """Makes the generator and the discriminator of the configured architecture."""
    m = config.model
    architecture = ARCHITECTURES[m.architecture]
    architecture.check(shape, m.channel_multipliers, m.g_kernel_sizes, m.d_kernel_sizes)
    common: dict[str, Any] = {
        "base_features": m.base_features,
        "channel_multipliers": m.channel_multipliers,
        "axis_name": axis_name,
        "dtype": jnp.dtype(config.train.dtype),
        "num_classes": num_classes,
        "embedding_dim": m.embedding_dim,
    }
    generator = architecture.generator(
        shape=tuple(shape),
        kernel_sizes=m.g_kernel_sizes,
        output=m.output,
        spectral_norm=m.g_spectral_norm,
        batch_norm=m.g_batch_norm,
        conditioning=m.g_conditioning,
        codes=codes.width if codes else 0,
        **common,
    )
    discriminator = architecture.discriminator(
        kernel_sizes=m.d_kernel_sizes,
        spectral_norm=m.d_spectral_norm,
        batch_norm=m.d_batch_norm,
        conditioning=m.d_conditioning,
        minibatch_stddev=m.minibatch_stddev,
        heads=((HEAD, codes.outputs),) if codes else (),
        **common,
    )
    return generator, discriminator


def make_hyper(config) -> Hyper:
    """Makes arrays of the configuration's scalars that can be swept without compiling anew.

    `config` is what `build` takes. Under lazy penalties D's constants are those of `optim.lazy_adam`.

    >>> import jaxgan
    >>> config = jaxgan.Config.from_dict({
    ...     "data": {"source": "synthetic", "name": "ring"},
    ...     "model": {"architecture": "mlp", "output": "linear", "base_features": 4, "channel_multipliers": (1,)},
    ... })
    >>> hyper = jaxgan.make_hyper(config)
    >>> faster = hyper.replace(g_optim=hyper.g_optim.replace(learning_rate=2 * hyper.g_optim.learning_rate))
    >>> [round(float(h.g_optim.learning_rate), 6) for h in (hyper, faster)]
    [0.0002, 0.0004]
    """
    config = as_config(config)
    scalar = partial(jnp.asarray, dtype=float)

    def optim(o: OptimConfig) -> OptimHyper:
        return OptimHyper(*(scalar(x) for x in (o.learning_rate, o.b1, o.b2, o.eps, o.eps_root)))

    weights = {name: getattr(config.regularizers, name) for name in (*PENALTIES, "lecam", "feature_matching")}
    g_optim, d_optim, interval = optim(config.g_optim), optim(config.d_optim), config.regularizers.interval
    info_rate = config.infogan.learning_rate
    return Hyper(
        g_optim=g_optim,
        d_optim=lazy_adam(d_optim, interval) if interval > 1 else d_optim,
        ema_decay=scalar(config.train.ema_decay),
        penalty_weights={name: scalar(weight) for name, weight in weights.items() if weight},
        tricks=TrickHyper(*(scalar(getattr(config.targets, f.name)) for f in dataclasses.fields(TrickHyper))),
        clip=scalar(config.regularizers.clip),
        augment_p=scalar(config.augment.first_p),
        g_adversarial_weight=scalar(config.loss.g_adversarial_weight),
        class_weight=scalar(config.loss.class_weight),
        info_weight=scalar(config.infogan.weight),
        info_optim=g_optim if info_rate is None else dataclasses.replace(g_optim, learning_rate=scalar(info_rate)),
    )


def init(gan: GAN, key: Array) -> GANState:
    """Makes a fresh state.

    Call it inside of one `jit`: there no two leaves share a buffer, which donating the state to a step needs.

    Args:
      gan: static.
      key: typed key, from which all parameters are drawn.

    Raises:
      UserError: a discriminator with batch norm under a penalty, which needs per-example gradients.

    >>> from functools import partial
    >>> import jax, jaxgan
    >>> config = jaxgan.Config.from_dict({
    ...     "data": {"source": "synthetic", "name": "ring"},
    ...     "model": {"architecture": "mlp", "output": "linear", "base_features": 4, "channel_multipliers": (1,)},
    ... })
    >>> gan = jaxgan.build(config, shape=(2,))
    >>> state = jax.jit(partial(jaxgan.init, gan))(jax.random.key(config.seed))
    >>> int(state.step), sorted(state.discriminator.params)
    (0, ['Dense_0', 'Dense_1'])
    """
    g_key, d_key = jax.random.split(key)
    g_inputs, d_inputs = _inputs(gan)
    g_variables = dict(gan.generator.init(g_key, *g_inputs, train=True))
    d_variables = dict(gan.discriminator.init(d_key, *d_inputs, train=True))
    if "batch_stats" in d_variables and gan.penalties:
        raise UserError(
            f"the discriminator has batch norm, which mixes the examples of a batch, but {listed(gan.penalties)} needs "
            "gradients of single examples: take batch norm out of it, or set "
            f"{' and '.join(f'regularizers.{name}' for name in gan.penalties)} to 0."
        )
    # The optimizer's state does not depend on the constants, so any will do.
    any_hyper = OptimHyper(*(jnp.zeros(()) for _ in range(5)))

    def net(variables, tx) -> NetState:
        params = variables.pop("params")
        return NetState(params, variables, tx(any_hyper).init(params))

    generator = net(g_variables, gan.g_tx)
    discriminator = net(d_variables, gan.d_tx)
    ema = AveragedNet(jax.tree.map(jnp.copy, generator.params), jax.tree.map(jnp.copy, generator.stats))
    aux: dict[str, Any] = {}
    if gan.lecam:
        aux["lecam"] = LeCamAverages.start()
    if gan.ada:
        aux["ada_p"] = jnp.asarray(gan.ada.first_p, float)
        if gan.ada.interval > 1:
            aux["ada_signs"] = AdaSigns.start()
    if gan.codes:
        aux["info"] = gan.g_tx(any_hyper).init((generator.params, discriminator.params))
    return GANState(jnp.int32(0), generator, discriminator, ema, aux)


def _inputs(gan: GAN) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """Makes inputs of G and of D from which they can be initialized; the values do not matter."""
    # Two examples, because batch norm of one has no variance, or a group.
    n = max(2, getattr(gan.discriminator, "minibatch_stddev", 0))
    label = (jnp.zeros(n, jnp.int32),) if gan.num_classes else ()
    return (jnp.zeros((n, gan.input_dim)), *label), (jnp.zeros((n, *gan.d_shape)), *label)
