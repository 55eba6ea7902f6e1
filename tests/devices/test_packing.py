import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.devices.devices import scan_steps
from jaxgan.devices.packing import Scalars, packed, table
from jaxgan.training.actions import NonFiniteError, check_finite


def step(state, batch, key, hyper):
    return state + 1, {"loss/g": state * 2.0, "loss/d": batch["x"].sum()}


def run(k: int):
    batch = {"x": jnp.arange(2.0 * k).reshape(k, 2)}
    return jax.jit(packed(scan_steps(step, k)))(jnp.float32(5), batch, None, None)[1]


def test_scalars_of_one_step_are_a_mapping_from_their_names():
    found = run(1)
    assert found.stacked.shape == (2,) and len(jax.tree.leaves(found)) == 1
    assert dict(found) == {"loss/d": 1, "loss/g": 10} and len(found) == 2
    assert check_finite(3, found) == {"loss/d": 1, "loss/g": 10}


def test_scalars_of_several_steps_keep_each():
    found = run(3)
    assert found["loss/g"].tolist() == [10, 12, 14] and found["loss/d"].tolist() == [1, 5, 9]
    names, values = table(found)
    assert names == ("loss/d", "loss/g") and values.tolist() == [[1, 10], [5, 12], [9, 14]]
    assert check_finite(9, found) == {"loss/d": 9, "loss/g": 14}


def test_scalars_that_are_not_finite_are_named_with_their_step():
    stacked = jnp.float32([[1, 2], [np.nan, 3], [4, np.inf]])
    with pytest.raises(NonFiniteError, match=r"^training stopped at step 8: loss/d is nan\.$"):
        check_finite(9, Scalars(stacked, ("loss/d", "loss/g")))


def test_table_takes_plain_mappings_too():
    names, values = table({"b": jnp.float32(2), "a": 1})
    assert names == ("a", "b") and values.tolist() == [[1, 2]]
    assert table({})[1].shape == (1, 0)
