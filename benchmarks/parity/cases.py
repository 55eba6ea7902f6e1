"""Lists the games in which `benchmarks.parity.run` compares jaxgan with PyTorch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from jaxgan.config.config import Config


class Case(NamedTuple):
    """One game that both sides play."""

    name: str
    shape: tuple[int, ...]
    config: Config
    vain: str = ""  # end of the name of leaves that no gradient moves


def case(name: str, shape: tuple[int, ...], seed: int = 0, **sections: dict[str, Any]) -> Case:
    """Makes a small game: `sections` on top of the library's defaults, with smaller sizes and two other Adam constants.

    In float32 a run meets ReLUs whose input is smaller than its rounding, on at one side and off at the other. Such a
    difference is real but small, and with the small learning rate 20 steps of a game that 8 examples overturn do
    not multiply it. eps stands above what rounding leaves (1e-9) of a gradient that is zero in mathematics, of which
    the usual 1e-8 would make steps; such are, under losses of differences of logits, those of biases whose
    unit is on the same side of its kink for all examples.
    """
    sections["model"] = {"base_features": 8, "z_dim": 16, **sections.get("model", {})}
    sections["train"] = {"batch_size": 8, **sections.get("train", {})}
    for net in ("g_optim", "d_optim"):
        sections[net] = {"learning_rate": 2e-5, "eps": 1e-6, **sections.get(net, {})}
    config = Config.from_dict({"seed": seed, "data": {"image_size": 0}, **sections})
    # These read differences of logits only, so that the gradient of D's last bias is zero.
    differences = config.loss.name in ("wasserstein", "relativistic_paired", "relativistic_average")
    last = {"mlp": "Dense_3", "dcgan": "Dense_0", "sngan_resnet": "Dense_0"}[config.model.architecture]
    return Case(name, shape, config, f"['{last}']['bias']" if differences else "")


def cases() -> Iterator[Case]:
    """Lists all games; `test_parity.py` runs a few of them."""
    dcgan28, image32 = (28, 28, 1), (32, 32, 3)
    resnet: dict[str, Any] = {"architecture": "sngan_resnet"}
    for kind, shape, model in (("dcgan28", dcgan28, {}), ("resnet32", image32, resnet)):
        for loss in ("non_saturating", "hinge"):
            for sn in (True, False):
                name = f"{kind}, {loss}, {'SN' if sn else 'no SN'}"
                yield case(name, shape, model={**model, "d_spectral_norm": sn}, loss={"name": loss})
    normed, two = {"d_batch_norm": True}, {"d_steps_per_g_step": 2}
    yield case("dcgan28, batch norm in D", dcgan28, model=normed)
    # Batch norm over 8 examples multiplies a difference. With seed 2, float32 turns a ReLU in torch's first step, whose
    # gradient is then 3e-3 from torch's own in float64 (jaxgan's: 3e-6); with this seed it turns none that matters.
    yield case("resnet32, batch norm in D", image32, model={**resnet, **normed}, seed=1)
    yield case("dcgan28, two D-steps, batch norm in D", dcgan28, model=normed, train=two)
    yield case(
        "dcgan28, G first, two D-steps, no batch norm, uniform z, sigmoid",
        dcgan28,
        model={"g_batch_norm": False, "z_distribution": "uniform", "output": "sigmoid"},
        train={**two, "order": "g_first"},
    )
    yield case("dcgan32, non_saturating, SN", image32)
    yield case("dcgan32, hinge, no SN", image32, model={"d_spectral_norm": False}, loss={"name": "hinge"})
    yield case("dcgan32, hinge, SN, R1", image32, loss={"name": "hinge"}, regularizers={"r1": 10.0})
    wide = {"base_features": 32}  # as the fast convolutions of jaxgan need
    yield case("dcgan28, wide", dcgan28, model=wide)
    yield case("resnet32, wide", image32, model={**resnet, **wide})
    yield from ring_cases()


def ring_cases() -> Iterator[Case]:
    """Games of points with dense networks, cheap enough to try every loss."""
    model = {"architecture": "mlp", "output": "linear", "z_dim": 2, "base_features": 16}
    plain = {**model, "g_batch_norm": False, "d_spectral_norm": False}
    optim = {"learning_rate": 1e-3, "b1": 0.0, "b2": 0.99, "schedule": "cosine", "schedule_steps": 40}
    yield case(
        "ring as in configs/ring.py",
        (2,),
        model=plain,
        loss={"name": "relativistic_paired"},
        regularizers={"r1": 0.1, "r2": 0.1},
        g_optim=optim,
        d_optim=optim,
    )
    yield case("ring, non_saturating, no SN", (2,), model=plain)
    yield case("ring, batch norm in both", (2,), model={**model, "d_batch_norm": True})
    for loss in ("non_saturating", "hinge", "minimax", "least_squares", "wasserstein", "relativistic_average"):
        yield case(f"ring, {loss}, SN", (2,), model=model, loss={"name": loss})
