"""Each kind of finding on a curve made for it, and none on a healthy one."""

import json
import re

import numpy as np
import pytest

from jaxgan.config.config import KEYS
from jaxgan.monitor.doctor import RULES, SEVERITIES, Advice, Finding, diagnose
from jaxgan.monitor.doctor.advice import ADVICE

STEPS = np.arange(50, 8001, 50)
EVALUATIONS = np.arange(200, 8001, 200)
BREAKS = 3000  # where what goes wrong begins


def healthy(every: int = 50, until: int = 8000) -> dict[str, np.ndarray]:
    """A game in balance whose evaluation falls, with noise on all curves."""
    random = np.random.RandomState(0)
    steps, at = np.arange(every, until + 1, every), np.arange(200, until + 1, 200)

    def around(value, size, n=None):
        return value + size * random.standard_normal(len(steps) if n is None else n)

    return {
        "step": steps,
        "loss/d": around(1.2, 0.1),
        "loss/g": around(1.0, 0.2),
        "score/real": around(0.6, 0.03),
        "score/fake": around(0.4, 0.03),
        "grad_norm/g": np.abs(around(0.5, 0.1)),
        "grad_norm/d": np.abs(around(0.5, 0.1)),
        "grad_norm/g/bottom": np.abs(around(0.2, 0.03)),
        "diversity/fake": around(0.95, 0.03),
        "eval/step": at,
        "eval/fid_10k": 20 + 200 * np.exp(-at / 1500) + around(0, 0.5, len(at)),
        "eval/memorization": around(1.1, 0.05, len(at)),
        "eval/class_accuracy": around(0.9, 0.02, len(at)),
    }


def after(history, name, values, begin=BREAKS):
    """The history with other values of a curve from a step on."""
    steps = history["eval/step"] if name.startswith("eval/") else history["step"]
    return {**history, name: np.where(steps > begin, values, history[name])}


def flat(history):
    """With an evaluation that stays as it is when things go wrong."""
    return after(history, "eval/fid_10k", np.interp(BREAKS, EVALUATIONS, history["eval/fid_10k"]))


def broken(kind: str) -> dict[str, np.ndarray]:
    h = flat(healthy())
    n, late = len(h["step"]), h["step"] > BREAKS
    leaps = np.where(np.arange(n) // 3 % 2, 8.0, 1.0)
    match kind:
        case "non_finite":
            return after(h, "loss/g", np.nan, 7000)
        case "discriminator_too_strong":
            return after(after(h, "score/real", 0.99), "score/fake", 0.01)
        case "generator_too_strong":
            return after(after(h, "score/real", 0.5), "score/fake", 0.7)
        case "vanishing_gradient":
            return after(h, "grad_norm/g/bottom", 1e-6)
        case "d_loss_near_zero":
            return after(h, "loss/d", 1e-3)
        case "exploding_loss":
            return after(h, "loss/g", np.where(np.arange(n) % 4 == 0, 1e3, 1.0))
        case "mode_collapse":
            return after(h, "diversity/fake", 0.2)
        case "runaway_samples":
            return after(h, "diversity/fake", 5.0)
        case "mode_hopping":
            return after(after(h, "diversity/fake", 0.4), "loss/g", leaps)
        case "imbalance":
            return after(after(h, "loss/d", 0.05), "loss/g", 2 + leaps)
        case "late_degradation":
            return after(h, "eval/fid_10k", 150.0)
        case "memorization":
            return after(h, "eval/memorization", 0.3)
        case "ignored_condition":
            return after(h, "eval/class_accuracy", 0.12)
    raise AssertionError(late)


def kinds(findings, least: str = "warning") -> set[str]:
    return {f.kind for f in findings if SEVERITIES.index(f.severity) >= SEVERITIES.index(least)}


def only(history, *names):
    """The curves named, with their steps."""
    return {name: history[name] for name in ("step", "eval/step", *names)}


def one(findings, kind: str) -> Finding:
    (found,) = [f for f in findings if f.kind == kind]
    return found


@pytest.mark.parametrize("loss", [None, "non_saturating", "hinge", "relativistic_paired", "wasserstein"])
def test_a_healthy_run_has_no_findings(loss):
    assert diagnose(healthy(), loss, num_classes=10) == []


@pytest.mark.parametrize("kind", RULES)
def test_each_kind_is_found_and_no_other(kind):
    findings = diagnose(broken(kind), num_classes=10)
    assert kinds(findings) - {"mode_collapse"} == {kind} - {"mode_collapse"}  # hopping is a way to collapse
    found = one(findings, kind)
    assert found.severity == ("warning" if kind == "mode_hopping" else "problem")
    assert found.until is None
    assert BREAKS - 600 <= found.step <= found.reported
    if kind != "non_finite":
        assert found.step <= BREAKS + 600


@pytest.mark.parametrize("kind", RULES)
def test_a_kind_is_not_found_before_it_begins(kind):
    h = broken(kind)
    early = {name: v[(h["eval/step"] if name.startswith("eval/") else h["step"]) <= BREAKS] for name, v in h.items()}
    assert diagnose(early, num_classes=10) == []


@pytest.mark.parametrize("kind", RULES)
def test_explanations_are_sentences_with_their_numbers(kind):
    found = one(diagnose(broken(kind), num_classes=10), kind)
    assert 2 <= len(re.findall(r"[.;:] |\.$", found.explanation)) <= 4
    assert re.search(r"\d", found.explanation)
    assert found.evidence and all(isinstance(value, float | int) for value in found.evidence.values())
    assert found.advice == ADVICE[kind]
    assert all(each.text.endswith(".") and each.source for each in found.advice)


def test_advice_is_for_every_kind_and_names_keys_that_exist():
    assert ADVICE.keys() == RULES.keys()
    texts = " ".join(each.text for advice in ADVICE.values() for each in advice)
    named = re.findall(r"\b([a-z]+(?:_optim)?\.\w+)", texts)
    assert len(named) > 10
    assert set(named) <= set(KEYS)


def test_advice_that_contradicts_itself_is_given_with_both_sources():
    collapse = ADVICE["mode_collapse"]
    assert any("Update D more often" in each.text for each in collapse)
    assert any("Impair D" in each.text for each in collapse)
    assert len({each.source for each in collapse}) >= 3
    assert {each.text.split()[0] for each in ADVICE["d_loss_near_zero"]} >= {"Wait:", "Stop", "Do"}


@pytest.mark.parametrize("kind", RULES)
def test_findings_survive_json(kind):
    found = one(diagnose(broken(kind), num_classes=10), kind)
    assert Finding.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False))) == found
    assert isinstance(found.advice[0], Advice)


@pytest.mark.parametrize("kind", [k for k in RULES if k != "non_finite"])
def test_no_verdict_in_the_first_few_hundred_steps(kind):
    h = broken(kind)
    late = {n: v[(h["eval/step"] if n.startswith("eval/") else h["step"]) > BREAKS] for n, v in h.items()}
    moved = {n: v - BREAKS if n.endswith("step") else v for n, v in late.items()}
    first = {n: v[(moved["eval/step"] if n.startswith("eval/") else moved["step"]) < 500] for n, v in moved.items()}
    assert diagnose(first, num_classes=10) == []


def test_non_finite_is_found_at_once_and_harms_no_other_rule():
    h = healthy(until=100)
    h["loss/g"][1] = np.inf
    found = one(diagnose(h), "non_finite")
    assert (found.severity, found.step, found.evidence) == ("problem", 100, {"scalars": 1})
    h = broken("mode_collapse")
    h["diversity/fake"][::7] = np.nan
    assert kinds(diagnose(h)) == {"mode_collapse", "non_finite"}


def test_what_passes_is_a_warning_that_ended():
    h = healthy()
    h["diversity/fake"] = np.where((h["step"] > 3000) & (h["step"] <= 3900), 0.2, h["diversity/fake"])
    found = one(diagnose(h), "mode_collapse")
    assert found.severity == "warning"
    assert 3900 <= found.until <= 4500


@pytest.mark.parametrize("kind", ["discriminator_too_strong", "d_loss_near_zero", "imbalance", "exploding_loss"])
def test_an_evaluation_that_improves_overrules_losses_and_scores(kind):
    h = broken(kind)
    h["eval/fid_10k"] = 20 + 200 * np.exp(-h["eval/step"] / 3000)
    assert one(diagnose(h), kind).severity == "warning"


@pytest.mark.parametrize("loss", ["wasserstein", None])
def test_levels_mean_nothing_to_a_wasserstein_loss(loss):
    h = only(broken("d_loss_near_zero"), "loss/d", "loss/g")
    h["loss/d"] = np.where(h["step"] < 1000, -1.0, h["loss/d"])
    assert diagnose(h, loss) == []
    strong = broken("discriminator_too_strong")
    strong["loss/d"] = -strong["loss/d"]
    assert diagnose(strong, loss) == []


def test_scores_of_a_relativistic_loss_have_no_level_of_their_own():
    h = after(after(flat(healthy()), "score/real", 0.95), "score/fake", 0.96)
    h = after(h, "loss/g", 0.1)
    assert kinds(diagnose(h, "non_saturating")) == {"generator_too_strong"}
    assert diagnose(h, "relativistic_paired") == []


def test_the_adversarial_terms_of_d_are_read_where_they_are_recorded():
    h = flat(healthy())
    h["loss/d_adversarial"] = np.where(h["step"] > BREAKS, 1e-3, h["loss/d"])
    assert kinds(diagnose(h)) == {"d_loss_near_zero"}


def test_a_game_that_comes_to_nothing_needs_less_certainty():
    h = after(after(healthy(), "score/real", 0.85, 0), "score/fake", 0.12, 0)
    assert diagnose(h) == []
    h["eval/fid_10k"] = np.full(len(EVALUATIONS), 300.0)
    assert kinds(diagnose(h), "problem") == {"discriminator_too_strong"}


def test_a_score_that_is_better_when_higher_degrades_by_falling():
    h = only(healthy(), "loss/d")
    h["eval/recall_10k"] = np.where(h["eval/step"] > BREAKS, 0.2, np.minimum(h["eval/step"] / 4000, 0.6))
    found = one(diagnose(h), "late_degradation")
    assert found.severity == "problem"
    assert found.evidence["best"] == 0.6 and found.evidence["now"] == 0.2
    assert found.evidence["ratio"] == pytest.approx(3)


def test_noise_of_an_evaluation_is_no_degradation():
    h = only(healthy(), "loss/d")
    # A score at its noise floor, where it is as often twice as half of what it was.
    h["eval/fd_100"] = 0.01 * np.exp(np.random.RandomState(0).standard_normal(len(EVALUATIONS)))
    assert diagnose(h) == []


def test_few_evaluations_of_a_degraded_run_warn_only():
    h = broken("late_degradation")
    few = {n: v[h["eval/step"] % 800 == 0] if n.startswith("eval/") else v for n, v in h.items()}
    assert one(diagnose(few), "late_degradation").severity == "warning"


def test_the_condition_is_judged_by_chance_only_where_the_classes_are_known():
    assert diagnose(broken("ignored_condition")) == []
    assert kinds(diagnose(broken("ignored_condition"), num_classes=2)) == {"ignored_condition"}


def test_a_notebook_shows_a_finding_with_its_advice():
    [found] = diagnose(broken("mode_collapse"))
    shown = found._repr_markdown_()
    assert shown.startswith(f"**{found.severity}: mode collapse**, since step {found.step:,} (diversity ")
    assert f"). {found.explanation}\n\n* " in shown
    assert all(f"\n* {each.text} *{each.source}*\n" in shown for each in found.advice)


def test_diversity_that_is_logged_goes_before_that_of_evaluations():
    few = {"eval/diversity_1k_cnn_embedded_mnist": np.full(len(EVALUATIONS), 0.2)}
    history = healthy()
    assert [found.kind for found in diagnose(history | few)] == []
    del history["diversity/fake"]
    [found] = diagnose(history | few)
    assert (found.kind, found.severity, found.evidence) == ("mode_collapse", "problem", {"diversity": 0.2})
