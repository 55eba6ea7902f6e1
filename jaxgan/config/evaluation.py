"""The keys of the section `eval`: scores during training, and what `--mode=evaluate` computes."""

from __future__ import annotations

from dataclasses import dataclass

from jaxgan.config.fields import Names, check_fields, key
from jaxgan.errors import UserError, listed

FEATURES = ("classifier", "inception", "random")
DOWNSTREAM = "downstream"  # two scores of their own, for which classifiers are trained: `--mode=evaluate` only
GENERATORS = ("ema", "recalibrated", "raw")
INCEPTION = "pt_inception-2015-12-05-6726825d.pth"
INCEPTION_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"


@dataclass(frozen=True)
class EvalConfig:
    """Scores during training, and what `--mode=evaluate` computes.

    None of these keys changes a training step, so a resumed run may change them; some decide when a run ends.
    """

    every: int = key(0, "Steps between two evaluations, each of which also saves a checkpoint; 0 means never.", least=0)
    num_samples: int = key(1000, "Number of generated examples that are scored.", least=2)
    num_real: int = key(0, "Number of real examples to compare with, evenly spread over the data; 0 uses all.", least=0)
    split: str = key("train", "Part of the data set that the real examples come from.")
    metrics: tuple[str, ...] = key(
        ("fd", "kid", "precision", "recall", "coverage"),
        "Scores to compute. 'downstream' trains classifiers, so it is for --mode=evaluate only.",
        allowed=Names("jaxgan.metrics", "METRICS", more=(DOWNSTREAM,)),
    )
    features: str = key(
        "classifier",
        "Network whose features are compared: a classifier trained on the data at hand, the Inception network of the "
        "FID papers (from a file), or an untrained network (random). Points are compared as they are.",
        allowed=FEATURES,
    )
    inception_path: str = key("", f"Path of {INCEPTION}, the weights of the Inception network.")
    inception_sha256: str = key(
        INCEPTION_SHA256,
        "SHA-256 that the file of Inception weights must have, or its first digits; empty accepts any file.",
    )
    resize: str = key(
        "tf1",
        "How images are resized to Inception's 299 pixels: as TensorFlow 1 did (tf1), or with antialiasing (clean).",
        allowed=Names("jaxgan.metrics.resize", "RESIZES"),
    )
    weights: str = key(
        "ema",
        "Which generator is scored: averaged parameters and batch statistics (ema), averaged parameters with batch "
        "statistics computed for them (recalibrated), or the live ones (raw).",
        allowed=GENERATORS,
    )
    best_metric: str = key("fd", "Score that decides which checkpoint is the best, and whether a run ends early.")
    plateau_patience: int = key(
        0, "End after this many evaluations in a row without a gain of 1 % (usual: 15); 0 means never.", least=0
    )
    stop_ratio: float = key(
        0.0,
        "End after 3 evaluations in a row whose score is this many times worse than the best (usual: 1.5); 0 means "
        "never.",
        above=1,
        or_zero=True,
    )

    def __post_init__(self):
        check_fields(self, "eval")
        if self.every and not self.metrics:
            raise UserError("eval.every is set, but eval.metrics is empty: name some scores, or set eval.every to 0.")
        if self.every and self.best_metric not in self.metrics:
            raise UserError(
                f"eval.best_metric is {self.best_metric!r}: it must be one of eval.metrics, {listed(self.metrics)}."
            )
        if self.every and DOWNSTREAM in self.metrics:
            raise UserError(
                f"eval.metrics has {DOWNSTREAM!r}, which trains classifiers and takes too long during training: leave "
                "it out, or set eval.every to 0 and use --mode=evaluate."
            )
        if self.features == "inception" and not self.inception_path:
            raise UserError(
                f"eval.features 'inception' needs the file {INCEPTION}: set eval.inception_path to where it lies, or "
                "eval.features to 'classifier'."
            )
        if self.stop_ratio and self.best_metric == "kid":
            raise UserError(
                "eval.stop_ratio compares with a multiple of the best score, but KID may be 0 or less: set "
                "eval.best_metric to another score, or eval.stop_ratio to 0."
            )
        if (self.plateau_patience or self.stop_ratio) and not self.every:
            raise UserError("eval.plateau_patience and eval.stop_ratio need evaluations: set eval.every, or both to 0.")
