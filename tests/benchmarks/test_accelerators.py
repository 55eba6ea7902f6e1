"""The table of what accelerators would allow: its arithmetic, and its counts against counts by hand."""

import pytest

from benchmarks.cost import accelerators
from benchmarks.cost.accelerators import Peak, Work, config_and_shape, render, seconds, work
from jaxgan.config.config import Config


@pytest.fixture(autouse=True)
def without_libtpu(monkeypatch):
    """Whose compiler takes a minute for a program."""
    monkeypatch.setattr(accelerators, "has_libtpu", lambda: False)


def test_seconds_is_the_longer_of_computing_and_moving():
    peak = Peak(flops=4e12, bandwidth=2e9)
    assert seconds(8e9, 1e6, peak) == pytest.approx(2e-3)
    assert seconds(8e9, 1e7, peak) == pytest.approx(5e-3)
    assert seconds(8e9, 4e6, peak) == pytest.approx(2e-3)  # at the ridge, 2000 operations per byte, both


def test_render_gives_ms_of_either_count_of_bytes():
    # 9.894 TFLOP take the H100 10 ms in bfloat16, 20 in TF32, 148 in float32, and the TPU 50.
    # 3.35 GB take the H100 1 ms and the TPU 4.1; 335 GB 100 and 409. The H200 takes 0.7 and 69.8.
    table = render([("a", 64, Work(9.894e12, 3.35e9, 335e9))], fused=True).splitlines()
    assert table[0].startswith("| model | batch per device | GFLOP | MB at least | MB after fusion | FLOP / byte |")
    cells = ["a", "64", "9900", "3400", "340000", "30 to 3000", "10 to 100", "20 to 100", "150"]
    cells += ["10 to 70", "20 to 70", "150", "50 to 410"]  # H200, TPU
    assert table[2].strip("| ").split(" | ") == cells


def taps(size: int, kernel: int, stride: int) -> int:
    """Products of one row of a kernel over one row of an image, those with the padding left out."""
    pad = (kernel - 1) // 2
    return sum(0 <= stride * i + m - pad < size for i in range(size // stride) for m in range(kernel))


def dcgan_products(image: int, channels: int, widths: list[int], z_dim: int) -> float:
    """Products of matrices and convolutions in one step, per example: one D-step and one G-step of a DCGAN."""
    sizes = [image >> i for i in range(len(widths) + 1)]
    layers = [
        taps(size, 4, 2) ** 2 * i * o for size, i, o in zip(sizes[:-1], [channels, *widths[:-1]], widths, strict=True)
    ]
    flat = sizes[-1] ** 2 * widths[-1]
    d, g = sum(layers) + flat, sum(layers) + z_dim * flat
    # G runs forward once for both steps, D on real and fake, then on fake again for G. D's gradients by its kernels of
    # two batches and by its inputs of three, the images being an input in the G-step only; G's by kernels and inputs.
    return g + 3 * d + 2 * d + 2 * (d - layers[0]) + d + g + (g - z_dim * flat)


@pytest.mark.slow
def test_work_counts_the_products_of_a_dcgan_within_3_percent():
    """The rest is optimizer, batch norm, spectral norm and activations."""
    for model, layers in (("dcgan28", (28, 1, [64, 128], 128)), ("dcgan32", (32, 3, [64, 128, 256], 128))):
        config, shape = config_and_shape(model, 64)
        expected = 2 * 64 * dcgan_products(*layers)
        assert expected < work(config, shape).flops < 1.03 * expected


@pytest.mark.slow
def test_work_counts_the_bytes_of_state_and_batch():
    """An MLP of two single layers: 3 x 4 + 4 parameters in G, 4 + 1 in D, and what goes with them."""
    c = Config.from_dict(
        {
            "data": {"source": "synthetic", "name": "ring"},
            "model": {
                "architecture": "mlp",
                "output": "linear",
                "z_dim": 3,
                "base_features": 4,
                "channel_multipliers": [1],
                "g_batch_norm": False,
                "d_spectral_norm": False,
            },
            "train": {"batch_size": 8},
        }
    )
    g, d = 3 * 4 + 4 + 4 * 2 + 2, 2 * 4 + 4 + 4 + 1
    state = 4 * (3 * (g + d) + g) + 4 * 3  # parameters and two moments each, G's average; three counters
    batch, hypers, metrics = 8 * (2 * 4 + 4), 4 * 28, 4 * (14 + 2 * 2 * 2)  # two of each of four layers
    assert work(c, (2,)).least == 2 * state + batch + hypers + metrics
