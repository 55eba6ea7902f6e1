"""Checks of what a configuration combines: each refusal one sentence that says why, and what to change."""

from __future__ import annotations

from jaxgan.errors import UserError
from jaxgan.sections import (
    AugmentConfig,
    DataConfig,
    LossConfig,
    ModelConfig,
    RegularizersConfig,
    TargetsConfig,
    TrainConfig,
)


def check_architecture(data: DataConfig, model: ModelConfig, train: TrainConfig) -> None:
    """Refuses networks that cannot make such data, and batch norm of one example."""
    from jaxgan.architectures import ARCHITECTURES

    if data.source == "synthetic":
        if model.architecture != "mlp":
            raise UserError(f"model.architecture {model.architecture!r} makes images; synthetic points need 'mlp'.")
        if model.output != "linear":
            raise UserError(f"model.output {model.output!r} is bounded; synthetic points need 'linear'.")
    if data.image_size and data.source != "synthetic":
        # Channels come from the source; build() checks again with the real shape.
        ARCHITECTURES[model.architecture].check(
            (data.image_size, data.image_size, 1),
            model.channel_multipliers,
            model.g_kernel_sizes,
            model.d_kernel_sizes,
        )
    if (model.g_batch_norm or model.d_batch_norm) and train.batch_size < 2:
        raise UserError("train.batch_size is 1: batch norm needs at least 2 examples.")
    if model.minibatch_stddev and train.batch_size % model.minibatch_stddev:
        raise UserError(
            f"train.batch_size is {train.batch_size}: it must be a multiple of model.minibatch_stddev, "
            f"{model.minibatch_stddev}."
        )


def check_regularizers(model: ModelConfig, loss: LossConfig, regularizers: RegularizersConfig) -> None:
    """Refuses penalties and constraints that the model undoes or makes undefined, and a G without a loss."""
    penalties = regularizers.gradient_penalties
    if model.d_batch_norm and penalties:
        raise UserError(
            "model.d_batch_norm couples the examples of a batch, so the per-example gradients of"
            f" {_keys('regularizers', penalties)} are undefined; switch one of them off."
        )
    if regularizers.clip and model.d_spectral_norm:
        raise UserError(
            f"regularizers.clip is {regularizers.clip}, but model.d_spectral_norm divides the scale of D's weights out"
            " again, so that clipping them constrains nothing; set clip to 0 or d_spectral_norm to False."
        )
    if not loss.g_adversarial_weight and not regularizers.feature_matching:
        raise UserError(
            "loss.g_adversarial_weight is 0, which leaves the generator without a loss: give"
            " regularizers.feature_matching a weight."
        )


def check_targets(loss: LossConfig, targets: TargetsConfig) -> None:
    """Refuses tricks with labels for losses that have none."""
    from jaxgan.losses import LOSSES

    if targets.label_tricks and LOSSES[loss.name].term is None:
        having = ", ".join(name for name, other in LOSSES.items() if other.term)
        raise UserError(
            f"{_keys('targets', targets.label_tricks)} would move the target labels 1 and 0, but loss.name"
            f" {loss.name!r} has none, it compares the logits themselves; losses with targets are {having}."
        )


def check_augment(data: DataConfig, loss: LossConfig, augment: AugmentConfig) -> None:
    """Refuses augmentation of points, and its adaptation where D's sign says nothing."""
    from jaxgan.losses import LOSSES

    if augment.policy and data.source == "synthetic":
        raise UserError(f"augment.policy {augment.policy} is for images, but synthetic data are points; set it to ().")
    if augment.ada and LOSSES[loss.name].boundary is None:
        having = ", ".join(name for name, other in LOSSES.items() if other.boundary is not None)
        raise UserError(
            "augment.ada reads from the sign of D's logits whether D overfits, but with loss.name"
            f" {loss.name!r} only differences of logits mean something; losses with a sign are {having}."
        )


def _keys(section: str, names: tuple[str, ...]) -> str:
    return " and ".join(f"{section}.{name}" for name in names)
