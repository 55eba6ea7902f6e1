"""Says what is wrong with a run: failure modes of GANs, read from its recorded curves.

`diagnose` judges a whole history; `Doctor` judges one that is being made, a step at a time. Both give the same.
No particular curve is required: a rule whose curves were not recorded finds nothing. The names of curves are:

* `loss/d`, `loss/g`: the adversarial losses. Penalties added to them hide small values, so `loss/d_adversarial` is read
  in place of `loss/d` where it is recorded.
* `score/real`, `score/fake`: mean probability of being real by D, sigmoid of its logits.
* `grad_norm/g`, `grad_norm/g/bottom`: norm of the gradient of all of G, and of the layer next to its input.
* `diversity/fake`, or else `eval/diversity`: mean distance between generated examples over that between the data's; 1
  is the data's own.
* `eval/fid...`, `eval/fd...`, `eval/kid...` (lower is better) and `eval/is...`, `precision`, `recall`, `density`,
  `coverage`, `modes`, `high_quality` (higher is better).
* `eval/memorization`: median distance of generated examples to their nearest training examples, over that of held-out
  examples of the data; 1 is the data's own.
* `eval/class_accuracy`: share of examples whose class by a classifier is the one asked for.

Names of evaluations may go on after a `_`, as in training logs: `eval/memorization_1k_cnn_embedded_mnist`.
"""

from jaxgan.monitor.doctor.advice import DISPUTED
from jaxgan.monitor.doctor.diagnosis import RULES, Doctor, diagnose
from jaxgan.monitor.doctor.findings import SEVERITIES, Advice, Finding, first_problem, span, words

__all__ = [
    "DISPUTED",
    "RULES",
    "SEVERITIES",
    "Advice",
    "Doctor",
    "Finding",
    "diagnose",
    "first_problem",
    "span",
    "words",
]
