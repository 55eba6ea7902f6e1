"""Checks combinations of keys. Each refusal says in one sentence why they do not fit, and which key to set."""

from __future__ import annotations

import math
from collections.abc import Iterator

from jaxgan.config.data import DataConfig
from jaxgan.config.evaluation import EvalConfig
from jaxgan.config.loss import AugmentConfig, LossConfig, RegularizersConfig, TargetsConfig
from jaxgan.config.model import ModelConfig
from jaxgan.config.train import TrainConfig
from jaxgan.errors import UserError


def check_architecture(data: DataConfig, model: ModelConfig, train: TrainConfig) -> None:
    """Refuses networks that cannot make such data, and batch norm over a single example (for D: a single pack)."""
    from jaxgan.architectures import ARCHITECTURES

    if data.source == "synthetic":
        if model.architecture != "mlp":
            raise UserError(
                f"model.architecture {model.architecture!r} makes images, but synthetic data are points: set it to mlp."
            )
        if model.output != "linear":
            raise UserError(
                f"model.output {model.output!r} is bounded, but synthetic points are not: set it to 'linear'."
            )
    size = data.form.size
    if size and data.source != "synthetic":
        # Channels come from the source; build() checks again with the real shape.
        ARCHITECTURES[model.architecture].check(
            (*size, 1),
            model.channel_multipliers,
            model.g_kernel_sizes,
            model.d_kernel_sizes,
        )
    # Batch norm takes its moments over the whole batch on all devices, or over one part where gradients accumulate.
    examples = train.batch_size // train.accumulate
    packed = model.d_batch_norm and examples // model.packing < 2
    if packed or (model.g_batch_norm and examples < 2):
        groups = {"train.accumulate": train.accumulate, "model.packing": model.packing if examples > 1 else 1}
        of = " and ".join([f"is {train.batch_size}", *(f"{key} {n}" for key, n in groups.items() if n > 1)])
        what = f"packs of {model.packing} examples" if groups["model.packing"] > 1 else "examples"
        raise UserError(f"train.batch_size {of}: batch norm needs at least 2 {what} at once; raise train.batch_size.")


def check_regularizers(model: ModelConfig, loss: LossConfig, regularizers: RegularizersConfig) -> None:
    """Refuses penalties that batch norm makes undefined, clipping that spectral norm undoes, and a G without a loss."""
    penalties = regularizers.gradient_penalties
    if model.d_batch_norm and penalties:
        raise UserError(
            "model.d_batch_norm couples the examples of a batch, so the per-example gradients of "
            f"{_keys('regularizers', penalties)} are undefined: set model.d_batch_norm to False, or the penalty to 0."
        )
    if regularizers.clip and model.d_spectral_norm:
        raise UserError(
            f"regularizers.clip is {regularizers.clip}, but model.d_spectral_norm divides D's weights by their scale, "
            "so that clipping them constrains nothing: set regularizers.clip to 0, or model.d_spectral_norm to False."
        )
    classes = model.d_conditioning == "auxiliary" and loss.class_weight
    if not (loss.g_adversarial_weight or regularizers.feature_matching or classes):
        raise UserError(
            "loss.g_adversarial_weight is 0, which leaves the generator without a loss: give"
            " regularizers.feature_matching a weight, or loss.class_weight with model.d_conditioning 'auxiliary'."
        )


def check_targets(loss: LossConfig, targets: TargetsConfig) -> None:
    """Refuses tricks with target labels for losses without targets."""
    from jaxgan.techniques.losses import LOSSES

    if LOSSES[loss.name].term is not None:
        return
    having = ", ".join(name for name, other in LOSSES.items() if other.term)
    if targets.label_tricks:
        raise UserError(
            f"{_keys('targets', targets.label_tricks)} would move the target labels 1 and 0, but loss.name "
            f"{loss.name!r} has none, because it compares the logits themselves: set loss.name to one of {having}."
        )
    if targets.traced and not targets.instance_noise_steps:
        raise UserError(
            f"targets.traced is True, but there is no trick to keep: loss.name {loss.name!r} has no target labels, and "
            f"targets.instance_noise_steps is 0. Set targets.traced to False, or loss.name to one of {having}."
        )


def check_augment(data: DataConfig, loss: LossConfig, augment: AugmentConfig) -> None:
    """Refuses augmentation of points, and adaptive augmentation where the sign of D's logits means nothing."""
    from jaxgan.techniques.losses import LOSSES

    if augment.policy and data.source == "synthetic":
        raise UserError(f"augment.policy {augment.policy} is for images, but synthetic data are points: set it to ().")
    if augment.ada and LOSSES[loss.name].boundary is None:
        having = ", ".join(name for name, other in LOSSES.items() if other.boundary is not None)
        raise UserError(
            "augment.ada reads from the sign of D's logits whether D overfits, but with loss.name "
            f"{loss.name!r} only differences of logits have a meaning: set loss.name to one of {having}."
        )


def check_conditioning(model: ModelConfig, loss: LossConfig, targets: TargetsConfig) -> None:
    """Refuses the weight of a missing class loss, and losses and tricks that do not fit D's 'class_fake' head."""
    if loss.class_weight != LossConfig.class_weight and model.d_conditioning != "auxiliary":
        raise UserError(
            f"loss.class_weight is {loss.class_weight}, but only model.d_conditioning 'auxiliary' has a class loss: "
            f"leave it at {LossConfig.class_weight}, or set model.d_conditioning."
        )
    if model.d_conditioning != "class_fake":
        return
    if loss.name != "non_saturating":
        raise UserError(
            f"loss.name is {loss.name!r}, but with model.d_conditioning 'class_fake' the loss is the cross entropy "
            "over all classes and 'generated', which takes the place of 'non_saturating': leave loss.name at that."
        )
    if targets.label_tricks or targets.traced:
        names = _keys("targets", targets.label_tricks or ("traced",))
        raise UserError(
            f"{names} would move the targets 1 and 0, but with model.d_conditioning 'class_fake' the targets are "
            "classes: leave them out, or set model.d_conditioning to another value."
        )


def check_eval(data: DataConfig, model: ModelConfig, evaluation: EvalConfig) -> None:
    """Refuses class accuracy without a conditional generator or a classifier.

    For a run with evaluations, also refuses what `check_scores` does.
    """
    if evaluation.every:
        check_scores(data, model, evaluation)
    if "class_accuracy" not in evaluation.metrics:
        return
    if model.g_conditioning == "none":
        raise UserError(
            "eval.metrics has 'class_accuracy', but the generator is unconditional: leave it out, or "
            "set model.g_conditioning and model.d_conditioning."
        )
    if evaluation.features != "classifier" or data.source == "synthetic":
        raise UserError(
            f"eval.metrics has 'class_accuracy', but eval.features is {evaluation.features!r} and data.source "
            f"{data.source!r}: it needs eval.features 'classifier' and images, so leave it out."
        )


def check_scores(data: DataConfig, model: ModelConfig, evaluation: EvalConfig, folder: bool = False) -> None:
    """Refuses scores that cannot be computed for a run's generator, or for a folder of images."""
    e = evaluation
    if not e.metrics:
        raise UserError("eval.metrics is empty, so that there is nothing to compute: name some scores, such as fd,kid.")
    if data.source == "synthetic":
        check_points(e.metrics, f"data.source {data.source!r}")
    if e.num_real:
        check_number(e.metrics, e.num_real, "eval.num_real")
    if folder and "class_accuracy" in e.metrics:
        raise UserError(
            "eval.metrics has 'class_accuracy', but images of a folder have no class that was asked for: leave it out."
        )
    if folder:
        return
    check_number(e.metrics, e.num_samples, "eval.num_samples")
    if e.weights == "recalibrated" and not model.g_batch_norm:
        raise UserError("eval.weights is 'recalibrated', but the generator has no batch norm: set it to 'ema'.")


def check_number(metrics: tuple[str, ...], number: int, what: str) -> None:
    """Refuses fewer examples than a score needs."""
    from jaxgan.metrics import METRICS

    for name in metrics:
        if name in METRICS and number < METRICS[name].fewest:
            raise UserError(f"{what} is {number}, but {name!r} of eval.metrics needs {METRICS[name].fewest} or more.")


def check_points(metrics: tuple[str, ...], what: str) -> None:
    """Refuses scores that read a classifier's logits for points, which are compared as they are."""
    from jaxgan.metrics import METRICS

    for name in metrics:
        if name in METRICS and "logits" in METRICS[name].needs:
            raise UserError(
                f"eval.metrics has {name!r}, which a network reads off images, but {what} is points: leave it out."
            )


def check_parts(config) -> None:
    """Refuses groups that do not divide the batch, and accumulated gradients of losses that need the whole batch."""
    model, train, regularizers = config.model, config.train, config.regularizers
    check_groups(config, 1)
    coupled = coupled_terms(config)
    if train.accumulate > 1 and coupled:
        raise UserError(
            f"train.accumulate is {train.accumulate}, but {' and '.join(coupled)} "
            f"need{'' if len(coupled) > 1 else 's'} the whole batch at once: set train.accumulate to 1."
        )
    if regularizers.interval > 1 and train.steps_per_call > 1:
        raise UserError(
            f"regularizers.interval is {regularizers.interval} and train.steps_per_call {train.steps_per_call}: which "
            "steps have the penalty is decided between compiled calls, so set one of them to 1."
        )
    for key, every in (
        ("eval.every", config.eval.every),
        ("monitor.histograms_every", config.monitor.histograms_every),
    ):
        if every % train.steps_per_call:
            raise UserError(f"{key} is {every}: it must be a multiple of train.steps_per_call, {train.steps_per_call}.")
    if model.packing > 1 and model.minibatch_stddev:
        raise UserError(
            f"model.packing is {model.packing} and model.minibatch_stddev {model.minibatch_stddev}: both let D compare "
            "examples, so set model.packing to 1 or model.minibatch_stddev to 0."
        )
    if model.packing > 1 and config.infogan.on:
        raise UserError(
            f"model.packing is {model.packing}: codes cannot be read from examples judged as one. Set it to 1, or "
            "infogan.categorical to () and infogan.continuous to 0."
        )


def check_groups(config, devices: int) -> None:
    """Refuses a batch that devices, accumulated parts and D's groups of examples do not divide evenly."""
    train, named = config.train, _groups(config)
    unit = devices * math.prod(named.values())
    if train.batch_size % unit:
        of = " x ".join(f"{key} {value}" for key, value in named.items() if value > 1)
        by = f"{of} x {devices} devices" if devices > 1 else of
        raise UserError(f"train.batch_size is {train.batch_size}: it must be a multiple of {unit} ({by}).")


def groups_in_batch(config) -> int:
    """Returns the number of equal groups in the batch, none of which may be divided among devices."""
    return config.train.batch_size // math.prod(_groups(config).values())


def _groups(config) -> dict[str, int]:
    stddev = config.model.minibatch_stddev
    named = {"train.accumulate": config.train.accumulate, "model.packing": config.model.packing}
    return named | ({"model.minibatch_stddev": stddev} if stddev else {})


def coupled_terms(config) -> list[str]:
    """Names the parts of the losses that compare examples of the whole batch, so that devices must exchange them."""
    from jaxgan.techniques.losses import LOSSES

    there = [f"loss.name {config.loss.name!r}"] if LOSSES[config.loss.name].coupled else []
    names = ("dragan", "lecam", "feature_matching")
    return there + [f"regularizers.{name}" for name in names if getattr(config.regularizers, name)]


def without_effect(config) -> Iterator[str]:
    """Yields a sentence for each key that was changed although nothing reads it.

    Such keys are no reason to refuse a run: one key may be swept over configurations of which not all read it.
    """
    for key, (is_read, why) in _readers(config).items():
        section, _, name = key.partition(".")
        values = getattr(config, section)
        value = getattr(values, name)
        if not is_read and value != getattr(type(values), name):
            yield f"{key} is {value!r}, but {why}, so that it has no effect."


def has_effect(config, key: str) -> bool:
    """Returns whether anything reads a key in this configuration."""
    return bool(_readers(config).get(key, (True, ""))[0])


def _readers(config) -> dict[str, tuple[object, str]]:
    """Maps keys that only some configurations read to whether this one does, and why not if it does not."""
    model, infogan, targets, augment = config.model, config.infogan, config.targets, config.augment
    noise = targets.instance_noise or targets.traced
    return {
        "model.g_kernel_sizes": (model.architecture != "mlp", "mlp has no convolutions"),
        "model.d_kernel_sizes": (model.architecture != "mlp", "mlp has no convolutions"),
        "model.embedding_dim": (model.g_conditioning != "none", "model.g_conditioning is 'none'"),
        "infogan.distribution": (infogan.continuous, "infogan.continuous is 0"),
        "infogan.weight": (infogan.on, "there are no codes"),
        "infogan.learning_rate": (infogan.on, "there are no codes"),
        "targets.instance_noise_steps": (noise, "targets.instance_noise is 0"),
        "augment.p": (augment.policy, "augment.policy is empty"),
        "augment.ada_target": (augment.ada, "augment.ada is False"),
        "augment.ada_kimg": (augment.ada, "augment.ada is False"),
        "augment.ada_interval": (augment.ada, "augment.ada is False"),
        "regularizers.before_augmentation": (
            augment.policy and (config.regularizers.r1 or config.regularizers.r2),
            "there is no augmentation or neither R1 nor R2",
        ),
        "monitor.max_attempts": (config.monitor.on_finding == "roll_back", "monitor.on_finding is not 'roll_back'"),
    } | {
        f"{section}.{name}": (getattr(config, section).schedule != "constant", f"{section}.schedule is 'constant'")
        for section in ("g_optim", "d_optim")
        for name in ("schedule_steps", "schedule_end")
    }


def _keys(section: str, names: tuple[str, ...]) -> str:
    return " and ".join(f"{section}.{name}" for name in names)
