"""jaxgan beside PyTorch, as far as a minute reaches; `make parity` runs the whole comparison."""

from functools import partial

import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from benchmarks.parity import run as parity  # noqa: E402
from benchmarks.parity.cases import case, cases  # noqa: E402
from benchmarks.parity.twins import LOSSES, Twin  # noqa: E402
from jaxgan.errors import UserError  # noqa: E402
from jaxgan.steps.gan import build, init  # noqa: E402
from jaxgan.techniques.losses import LOSSES as OURS  # noqa: E402

CASES = {c.name: c for c in cases()}
SHAPES = {"dcgan": [(28, 28, 1), (32, 32, 3), (64, 64, 3)], "mlp": [(2,), (8, 8, 1)], "sngan_resnet": [(32, 32, 3)]}
MLP = {"architecture": "mlp"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("dcgan28, non_saturating, SN", "float64"),
        ("dcgan28, two D-steps, batch norm in D", "float64"),
        ("resnet32, hinge, SN", "float64"),
        ("ring as in configs/ring.py", "float64"),
        ("dcgan28, non_saturating, SN", "float32"),
        ("ring, batch norm in both", "float32"),
    ],
)
def test_both_sides_train_alike(name, dtype):
    comparisons = parity.run(CASES[name], dtype, steps=4)
    assert len(comparisons) > 80
    assert not parity.failures(comparisons, dtype)


@pytest.mark.slow
def test_a_wrong_constant_is_seen():
    """In float64 the measure shows an eps of Adam that is off by 1e-6."""
    states = []
    for eps in (1e-6, 2e-6):
        c = case("", (2,), model=MLP, d_optim={"eps": eps})
        twin = Twin(c.config, c.shape, torch.float64)
        twin.load(parity.start(build(c.config, c.shape), "float64"))
        twin.train_step([torch.ones(4, 2, dtype=torch.float64)], [torch.arange(64.0).reshape(4, 16).double()])
        states.append(twin.unload())
    wrong = parity.failures(list(parity.compare_states(*states)), "float64")
    assert wrong and all(text.startswith("parameter discriminator") for text in wrong if "generator" not in text)


@pytest.mark.parametrize(
    ("ours", "theirs", "scale", "expected"),
    [
        ([3.0, 4.0], [3.0, 4.0], None, 0),
        ([3.0, 4.5], [3.0, 4.0], None, 0.1),
        ([0.0, 0.0], [0.0, 0.0], None, 0),
        ([1e-9, 0.0], [0.0, 0.0], None, np.inf),
        ([1e-9, 0.0], [0.0, 0.0], 0.1, 1e-8),
        ([np.nan, 0.0], [1.0, 0.0], None, np.nan),
    ],
)
def test_difference_is_relative_in_the_2_norm(ours, theirs, scale, expected):
    np.testing.assert_allclose(parity.difference(np.array(ours), np.array(theirs), scale), expected, rtol=1e-12)


def test_nan_is_a_failure():
    assert parity.failures([parity.Comparison("loss", "loss/d of step 1", float("nan"))], "float32")


@pytest.mark.slow
@pytest.mark.parametrize("d_batch_norm", [False, True])
@pytest.mark.parametrize(("name", "shape"), [(name, shape) for name, shapes in SHAPES.items() for shape in shapes])
def test_load_then_unload_is_the_identity(name, shape, d_batch_norm):
    model = {"architecture": name, "base_features": 4, "d_batch_norm": d_batch_norm}
    config = case("", shape, model=model).config
    gan = build(config, shape)
    like = jax.eval_shape(partial(init, gan), jax.random.key(0))
    rng = np.random.default_rng(0)
    state = jax.tree.map(lambda x: rng.normal(size=x.shape).astype(x.dtype) if x.ndim else x.dtype.type(7), like)
    twin = Twin(config, shape)
    twin.load(state)
    back = twin.unload()
    assert jax.tree.structure(back) == jax.tree.structure(state)
    jax.tree.map(np.testing.assert_array_equal, back, state)
    assert {np.asarray(x).dtype for x in jax.tree.leaves(back)} == {np.dtype("int32"), np.dtype("float32")}


def test_a_fresh_twin_unloads_a_state_that_loads():
    config = case("", (2,), model=MLP).config
    twin = Twin(config, (2,))
    state = twin.unload()
    assert jax.tree.structure(state) == jax.tree.structure(
        jax.eval_shape(partial(init, build(config, (2,))), jax.random.key(0))
    )
    twin.load(state)


def test_every_loss_has_a_twin():
    assert set(LOSSES) == set(OURS)
    assert {name for name, loss in LOSSES.items() if loss.relativistic} == {
        n for n, x in OURS.items() if x.relativistic
    }


def test_load_refuses_another_architecture():
    twin = Twin(case("", (2,), model=MLP).config, (2,))
    other = case("", (28, 28, 1))
    with pytest.raises(ValueError, match="the trees differ in"):
        twin.load(parity.start(build(other.config, other.shape), "float32"))


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"g_optim": {"kind": "adamax"}}, "g_optim: the PyTorch twin has only the kind 'adam'"),
        ({"d_optim": {"eps_root": 1e-8}}, "d_optim: the PyTorch twin has only the kind 'adam', without eps_root"),
        ({"train": {"dtype": "bfloat16"}}, "train.dtype is 'bfloat16'"),
    ],
)
def test_twin_refuses_what_it_has_not(sections, message):
    with pytest.raises(UserError, match=message):
        Twin(case("", (2,), model=MLP, **sections).config, (2,))


@pytest.mark.slow
def test_main_reports_and_fails(monkeypatch, capsys):
    few = [CASES["ring, non_saturating, no SN"]]
    monkeypatch.setattr(parity, "cases", lambda: few)
    monkeypatch.setattr(parity, "prepare", lambda: None)  # JAX is at work in this process already
    monkeypatch.setattr(parity, "run", partial(parity.run, steps=1))
    assert parity.main(1) == 0
    first = capsys.readouterr().out.splitlines()
    assert first[0].startswith("float64 ring, non_saturating, no SN: loss ") and first[-2].startswith("float32: ")
    count, worst = first[-1].split(" comparisons, 0 skipped, worst ")
    assert int(count) == 2 * len(parity.run(few[0], "float32")) and float(worst) < 1e-4
    monkeypatch.setitem(parity.TOLERANCES, "float32", dict.fromkeys(parity.KINDS, 0.0))
    assert parity.main(1) == 1
    assert "  FAILED parameter " in capsys.readouterr().out
