"""Lists what is wrong by which number, with the sentence that says what to change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple


class Remark(NamedTuple):
    """Describes something that is wrong before the first step.

    Attributes:
      kind: a key of `CHECKS`.
      severity: "info", "warning" or "problem": how the doctor calls it.
      evidence: the numbers that it rests on.
      sentence: what is seen, and what to change.
    """

    kind: str
    severity: str
    evidence: dict[str, float]
    sentence: str


class Check(NamedTuple):
    """Checks the facts that it names: `fails` takes them in that order, and `sentence` is filled in with them."""

    severity: str
    reads: tuple[str, ...]
    fails: Callable[..., bool]
    sentence: str


def remarks(facts: Mapping[str, float]) -> list[Remark]:
    """Lists what these facts show to be wrong, in the order of `CHECKS`; a check whose facts are missing is left out.

    >>> [(remark.kind, remark.severity) for remark in remarks({"fake_spread": 0.0, "outside": 0.0})]
    [('same_outputs', 'problem')]
    """
    found = []
    for kind, check in CHECKS.items():
        evidence = {name: facts[name] for name in check.reads if name in facts}
        if len(evidence) == len(check.reads) and check.fails(*evidence.values()):
            found.append(Remark(kind, check.severity, evidence, check.sentence.format(**evidence)))
    return found


# "Measured" is over every configuration of configs/ and the healthy runs of benchmarks/doctor/rows.py, with random
# images in place of data that need a download. A threshold without a figure is a priori, by what it means.

# Of half the range. Measured: a pixel varies by 0.19 (of ones alone) and more, all values by 0.49 and more.
ALIKE, LOW_CONTRAST = 0.02, 0.1
REACH = 0.6  # of the range; images in [0, 1] for a tanh reach 0.5 of it
ONE_VALUE = 0.97  # share of all values; measured: 0.81 of the digits is black, 0.89 of the ones among them
BLANK, COPIES = 0.05, 0.05  # shares of the images; measured: none
# Standard deviation and mean of points; measured: 0.7 and 2.9. Networks start with values around 1.
POINTS_SMALL, POINTS_LARGE = 0.05, 20.0
# Images. 100 were memorized without augmentation (`small_data` of benchmarks/doctor/rows.py); the 390 of one digit are
# not few by this.
FEW = 300
# Examples whose statistics batch norm takes. Wu & He 2018, https://arxiv.org/abs/1803.08494, have an error on ImageNet
# of 23.6 % with 32, 24.8 % with 8 and 27.3 % with 4.
FEW_NORMALIZED = 8
UNBALANCED = 10.0  # examples of the most frequent class for each of the rarest
# Of half the range, over the latents: a quarter of a byte's level. Measured: 0.06 and more; 0.0006 of a G that does not
# hear its latents (`one_mode_g` there).
SAME_OUTPUTS = 0.002
SAME_LOGITS = 1e-5  # standard deviation, where float32 has 1e-7 of the size; measured: 0.007 and more
SATURATED, BEYOND = 0.5, 0.01  # shares of the outputs; measured: 0.04 and less, none
# sigmoid(10) is 1 - 5e-5: then log sigmoid has hardly a slope. Measured: logits of 5.6 and less, a gap of 0.25 at most.
LARGE_LOGITS, GAP = 10.0, 0.6

CHECKS: dict[str, Check] = {
    "data_not_finite": Check(
        "problem",
        ("data_not_finite",),
        lambda bad: bad > 0,
        "{data_not_finite:.0f} values of the examples looked at are NaN or infinite, at which training stops: repair "
        "or leave out such examples.",
    ),
    "same_images": Check(
        "problem",
        ("spread", "images"),
        lambda spread, images: spread < ALIKE and images > 1,
        "The {images:.0f} images looked at are all nearly the same (a pixel varies by {spread:.2g} of half the "
        "range): see whether they are read as they should be.",
    ),
    "part_of_the_range": Check(
        "warning",
        ("reach", "low", "high"),
        lambda reach, low, high: reach < REACH,
        "The images' values lie in [{low:.3g}, {high:.3g}], {reach:.0%} of what model.output reaches: scale them to "
        "all of it, [-1, 1] for tanh, [0, 1] for sigmoid, 0 to 255 for bytes.",
    ),
    "low_contrast": Check(
        "warning",
        ("contrast", "reach"),
        lambda contrast, reach: contrast < LOW_CONTRAST and reach >= REACH,
        "The images' values vary by {contrast:.2g} of half the range only: if a few of them are far off, limit them, "
        "and then scale all.",
    ),
    "one_value": Check(
        "warning",
        ("one_value",),
        lambda share: share > ONE_VALUE,
        "{one_value:.1%} of all values in the images are the same: what is left is easily missed; crop or enlarge "
        "what they show.",
    ),
    "blank_images": Check(
        "warning",
        ("blank",),
        lambda share: share > BLANK,
        "{blank:.1%} of the images are of one color: G will make such ones too; leave out those that are there by "
        "mistake.",
    ),
    "copied_images": Check(
        "warning",
        ("copies",),
        lambda share: share > COPIES,
        "{copies:.1%} of the images looked at are copies of others: there are fewer examples than it seems, and G "
        "will prefer those; leave the copies out.",
    ),
    "flat_channels": Check(
        "warning",
        ("flat_channels", "spread"),
        lambda channels, spread: channels > 0 and spread >= ALIKE,
        "{flat_channels:.0f} of the images' channels never change: leave them out, as an alpha channel.",
    ),
    "gray_as_color": Check(
        "warning",
        ("gray",),
        lambda gray: gray > 0,
        "The three channels of all images looked at are equal: store them as one, gray, which costs less and spares G "
        "the learning of it.",
    ),
    "scale_of_points": Check(
        "warning",
        ("scale", "center"),
        lambda scale, center: not POINTS_SMALL <= scale <= POINTS_LARGE or center > POINTS_LARGE,
        "The points vary by {scale:.3g} around {center:.3g}, where networks start with values around 1: subtract the "
        "mean and divide by the standard deviation.",
    ),
    "less_than_a_batch": Check(
        "warning",
        ("examples", "batch"),
        lambda examples, batch: examples < batch,
        "There are {examples:.0f} examples for batches of {batch:.0f}, so that each batch has some twice: lower "
        "train.batch_size, or get more.",
    ),
    "few_examples": Check(
        "warning",
        ("examples", "augmented"),
        lambda examples, augmented: examples < FEW and not augmented,
        "There are {examples:.0f} examples only, which D will know by heart: augment what it sees "
        "(augment.policy=color,translation,cutout), and evaluate with memorization where there are held-out ones.",
    ),
    "small_batch_norm": Check(
        "warning",
        ("normalized",),
        lambda normalized: normalized < FEW_NORMALIZED,
        "Batch norm takes its statistics of {normalized:.0f} examples at once, which are little but noise: raise "
        "train.batch_size, lower train.accumulate, or do without batch norm.",
    ),
    "missing_classes": Check(
        "warning",
        ("missing",),
        lambda missing: missing > 0,
        "{missing:.0f} of the classes have no example, so that G learns nothing of them: leave them out of the labels, "
        "or ask G for the others only.",
    ),
    "unbalanced_classes": Check(
        "warning",
        ("ratio",),
        lambda ratio: ratio > UNBALANCED,
        "The most frequent class has {ratio:.0f} times as many examples as the rarest, which G will make worse than "
        "the others: get more of it, or leave it out (data.classes).",
    ),
    "net_not_finite": Check(
        "problem",
        ("net_not_finite",),
        lambda bad: bad > 0,
        "{net_not_finite:.0f} of the outputs of the new networks are NaN or infinite: see how their weights are "
        "initialized, and what they divide by.",
    ),
    "same_outputs": Check(
        "problem",
        ("fake_spread",),
        lambda spread: spread < SAME_OUTPUTS,
        "G makes nearly the same of all latents (an output varies by {fake_spread:.2g} of half the range): it does "
        "not hear them, or its weights begin too small; see its first layer and its initialization.",
    ),
    "saturated_outputs": Check(
        "warning",
        ("saturated", "outside"),
        lambda saturated, outside: saturated > SATURATED and outside <= BEYOND,
        "{saturated:.0%} of G's outputs are at the ends of their range, where the output function has no slope: begin "
        "with smaller weights in its last layer.",
    ),
    "outputs_beyond_the_data": Check(
        "warning",
        ("outside",),
        lambda outside: outside > BEYOND,
        "{outside:.0%} of G's outputs lie beyond the range of the examples, so that D need not look at anything "
        "else: end G with the function that model.output names.",
    ),
    "one_sided_outputs": Check(
        "warning",
        ("one_sided", "fake_spread", "outside"),
        lambda one_sided, spread, outside: one_sided > 0 and spread >= SAME_OUTPUTS and outside <= BEYOND,
        "None of G's outputs is in the lower half of the examples' range: end G with the function that model.output "
        "names, or name the one that it ends with.",
    ),
    "same_logits": Check(
        "problem",
        ("logit_spread",),
        lambda spread: spread < SAME_LOGITS,
        "D gives every example the same logit (standard deviation {logit_spread:.1g}): it does not see its input; see "
        "its layers and their initialization.",
    ),
    "large_logits": Check(
        "warning",
        ("logit_size",),
        lambda size: size > LARGE_LOGITS,
        "D's logits have a size of {logit_size:.3g} before it has learned anything, where the loss has hardly a slope "
        "for G: begin with smaller weights, or bound D (model.d_spectral_norm).",
    ),
    "told_apart": Check(
        "warning",
        ("gap", "logit_size"),
        lambda gap, size: gap > GAP and size <= LARGE_LOGITS,
        "D tells generated from real examples (sigmoids {gap:.2f} apart) before it has learned anything: compare the "
        "scales of the data and of G's outputs.",
    ),
    "part_of_the_data": Check(
        "info",
        ("epochs",),
        lambda epochs: epochs < 1,
        "The run sees {epochs:.0%} of the examples: raise train.num_steps to see them all.",
    ),
    "one_example_per_device": Check(
        "info",
        ("per_device",),
        lambda per_device: per_device < 2,
        "Each device has one example of a batch at a time: fewer devices would hardly be slower.",
    ),
    "unused_labels": Check(
        "info",
        ("unused_classes",),
        lambda classes: classes > 1,
        "The data have labels of {unused_classes:.0f} classes, which the networks are not told: model.g_conditioning "
        "and model.d_conditioning would make G one that can be asked for a class.",
    ),
}
