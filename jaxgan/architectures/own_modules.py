"""Checks of the networks that a caller brings, before anything is compiled."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import flax.errors
import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.architectures.base import DOutput
from jaxgan.errors import UserError

Inputs = tuple[jax.Array, ...]


def check_generator(module: Any, inputs: Inputs, shape: Sequence[int], axis_name: str | None = None) -> None:
    """Refuses a generator that does not make examples of the data's shape.

    Args:
      module: the caller's generator.
      inputs: what it is called with: z f[B, input_dim], and labels i32[B] where it is conditioned on classes.
      shape: shape of one example.
      axis_name: name of the mapped device axis that the training step runs under.

    Raises:
      UserError: it cannot be called as `Architecture` says, draws random numbers, has no parameters, or returns
        anything but a float array [B, *shape].
    """
    expected = (len(inputs[0]), *shape)
    for out in _outputs("generator", ("z", "label"), module, inputs, axis_name):
        if not _is_float_array(out) or out.shape != expected:
            raise UserError(
                f"The generator must return a float array of shape {expected}, a batch of examples like the data's, "
                f"but {_call('generator', ('z', 'label'), inputs)} returns {_describe(out)}."
            )


def check_discriminator(module: Any, inputs: Inputs, axis_name: str | None = None) -> None:
    """Refuses a discriminator that does not return one logit for each example.

    Args:
      module: the caller's discriminator.
      inputs: what it is called with: examples f[B, *shape], and labels i32[B] where it is conditioned on classes.
      axis_name: name of the mapped device axis that the training step runs under.

    Raises:
      UserError: it cannot be called as `Architecture` says, draws random numbers, has no parameters, or returns
        neither `DOutput` nor an array with logits f[B] or f[B, 1].
    """
    n = len(inputs[0])
    for out in _outputs("discriminator", ("x", "label"), module, inputs, axis_name):
        logits = out.logits if isinstance(out, DOutput) else out
        if not _is_float_array(logits) or logits.shape not in ((n,), (n, 1)):
            raise UserError(
                f"The discriminator must return one logit for each example, a float array of shape ({n},) or ({n}, 1), "
                f"or a `jaxgan.architectures.DOutput` with such logits, but "
                f"{_call('discriminator', ('x', 'label'), inputs)} returns {_describe(logits)}."
            )


def _outputs(role: str, names: Sequence[str], module: Any, inputs: Inputs, axis_name: str | None) -> list[Any]:
    """Shapes and types of what the module returns in training and in evaluation; nothing is computed."""
    call = _call(role, names, inputs)
    if not isinstance(module, nn.Module):
        hint = f"an instance, such as {module.__name__}()" if isinstance(module, type) else "a module made with Flax"
        raise UserError(
            f"{role}= must be an instance of flax.linen.Module, not {type(module).__name__}: pass {hint}, which is "
            f"called as {call}."
        )
    try:
        inspect.signature(type(module).__call__).bind(module, *inputs, train=True)
    except TypeError as error:
        raise UserError(
            f"The {role} is called as {call}, but {type(module).__name__}.__call__ does not allow that ({error}): "
            f"define it as `def __call__(self, {', '.join(names[: len(inputs)])}, *, train)`."
            + (_NO_LABELS if len(inputs) == 1 and "'label'" in str(error) else "")
        ) from error

    def run(key: jax.Array, *inputs: jax.Array) -> list[Any]:
        variables = dict(module.init(key, *inputs, train=True))
        if not jax.tree.leaves(variables.get("params")):
            raise UserError(f"The {role} {type(module).__name__} has no parameters, so there is nothing to train.")
        mutable = [*(name for name in variables if name != "params"), "intermediates"]
        trained, _ = module.apply(variables, *inputs, train=True, mutable=mutable)
        return [trained, module.apply(variables, *inputs, train=False)]

    def mapped(key: jax.Array, *inputs: jax.Array) -> list[Any]:
        if axis_name is None:
            return run(key, *inputs)
        # Under a map of one device, because the step runs under one and the module may average over it.
        outputs = jax.vmap(lambda _: run(key, *inputs), axis_name=axis_name)(jnp.zeros(1))
        return jax.tree.map(lambda x: x[0], outputs)

    try:
        return jax.eval_shape(mapped, jax.random.key(0), *inputs)
    except UserError:
        raise
    except flax.errors.InvalidRngError as error:
        raise UserError(
            f"The {role} {type(module).__name__} draws random numbers of its own, as dropout does, but {call} gives it "
            "no key, since a resumed run must repeat the interrupted one: leave dropout out (deterministic=True), and "
            "use spectral norm or instance noise (targets.instance_noise) against overfitting."
        ) from error
    except Exception as error:  # whatever the caller's code raises
        reason = " ".join(str(error).split())
        reason = reason[:200] + "..." if len(reason) > 200 else reason
        raise UserError(
            f"The {role} {type(module).__name__} fails when called as {call}: {type(error).__name__}: {reason}"
        ) from error


_NO_LABELS = (
    " Labels are passed only where model.g_conditioning is 'concat' or 'batch_norm' and model.d_conditioning is not "
    "'none'."
)


def _call(role: str, names: Sequence[str], inputs: Inputs) -> str:
    """The call as a user would write it, with the arguments' shapes."""
    given = [f"{name}: {_describe(x)}" for name, x in zip(names, inputs, strict=False)]
    return f"{role}({', '.join(given)}, train=...)"


def _describe(value: Any) -> str:
    """A short description of a value or of its shape.

    >>> _describe(jnp.zeros((2, 3)))
    'float32[2, 3]'
    """
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{value.dtype}[{', '.join(map(str, value.shape))}]"
    if isinstance(value, tuple | list):
        parts = [_describe(x) for x in value[:5]] + ([f"and {len(value) - 5} more"] if len(value) > 5 else [])
        return f"a {type(value).__name__} of {', '.join(parts) or 'nothing'}"
    return f"a value of type {type(value).__name__}"


def _is_float_array(value: Any) -> bool:
    return hasattr(value, "dtype") and jnp.issubdtype(value.dtype, jnp.floating)
