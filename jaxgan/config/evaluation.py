"""Scores during training, and what `--mode=evaluate` computes."""

from __future__ import annotations

from dataclasses import dataclass

from jaxgan.config.fields import at_least, check_types, one_of
from jaxgan.errors import UserError

FEATURES = ("classifier", "inception", "random")
DOWNSTREAM = "downstream"  # two scores of their own, for which classifiers are trained: `--mode=evaluate` only
GENERATORS = ("ema", "recalibrated", "raw")


@dataclass(frozen=True)
class EvalConfig:
    """Scores. None of this changes the training, so a resumed run may change it, but for when it ends early."""

    every: int = 0  # steps between two evaluations; 0: never. An evaluation also saves a checkpoint
    num_samples: int = 1000  # generated for each
    num_real: int = 0  # so many real examples, evenly spread; 0: all
    split: str = "train"  # of the real examples
    metrics: tuple[str, ...] = ("fd", "kid", "precision", "recall", "coverage")
    # The network whose features are compared: classifier, trained on the data at hand | inception, of the FID papers,
    # from a file | random, an untrained one. Points are compared as they are.
    features: str = "classifier"
    inception_path: str = ""  # of pt_inception-2015-12-05-6726825d.pth
    inception_sha256: str = "6726825d"  # how the file's SHA-256 begins
    resize: str = "tf1"  # to Inception's 299 pixels: tf1 | clean
    # Of G: ema, averaged parameters and batch statistics | recalibrated, averaged parameters with batch statistics
    # computed for them | raw, the live ones.
    weights: str = "ema"
    best_metric: str = "fd"  # by which the best checkpoint is kept, and a run ended early
    plateau_patience: int = 0  # end after so many evaluations without a gain of 1 % (usual: 15); 0: never
    stop_ratio: float = 0.0  # end after 3 evaluations in a row so many times worse than the best (usual: 1.5); 0: never

    def __post_init__(self):
        from jaxgan.metrics import METRICS
        from jaxgan.metrics.resize import RESIZES

        check_types(self, "eval")
        for name in ("every", "num_real", "plateau_patience"):
            at_least(f"eval.{name}", getattr(self, name), 0)
        at_least("eval.num_samples", self.num_samples, 2)
        one_of("eval.features", self.features, FEATURES)
        one_of("eval.resize", self.resize, RESIZES)
        one_of("eval.weights", self.weights, GENERATORS)
        for name in self.metrics:
            one_of("eval.metrics", name, (*METRICS, DOWNSTREAM))
        if self.every and not self.metrics:
            raise UserError("eval.every is set, but eval.metrics is empty: name some, or set eval.every to 0.")
        if self.every and self.best_metric not in self.metrics:
            raise UserError(
                f"eval.best_metric is {self.best_metric!r}: it must be one of eval.metrics, {', '.join(self.metrics)}."
            )
        if self.every and DOWNSTREAM in self.metrics:
            raise UserError(
                f"eval.metrics has {DOWNSTREAM!r}, for which classifiers are trained, too long while the run goes: "
                "leave it out, or set eval.every to 0 and use --mode=evaluate."
            )
        if self.features == "inception" and not self.inception_path:
            raise UserError(
                "eval.features 'inception' needs eval.inception_path, where pt_inception-2015-12-05-6726825d.pth lies."
            )
        if self.stop_ratio and not self.stop_ratio > 1:
            raise UserError(f"eval.stop_ratio is {self.stop_ratio}: it must be greater than 1, or 0 for never.")
        if self.stop_ratio and self.best_metric == "kid":
            raise UserError(
                "eval.stop_ratio compares with a multiple of the best, but KID may be 0 or less: set eval.best_metric "
                "to another one."
            )
        if (self.plateau_patience or self.stop_ratio) and not self.every:
            raise UserError("eval.plateau_patience and eval.stop_ratio need evaluations: set eval.every, or both to 0.")
