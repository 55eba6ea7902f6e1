"""The Inception-v3 of published FIDs once more, in PyTorch and as a table, which ours is tested against.

Names, kernels and channels are those of the weight file; all else is a walk over the table.
"""

import torch
import torch.nn.functional as F

# A layer is "name: outputs kernel"; a kernel ends in "s2" for stride 2 or "v" for stride 1, both without padding.
# Layers of a branch follow each other; a branch starts from the block's input, or from the result of the layer in <>.
STEM = (
    "Conv2d_1a_3x3: 32 3s2, Conv2d_2a_3x3: 32 3v, Conv2d_2b_3x3: 64 3",
    "Conv2d_3b_1x1: 80 1, Conv2d_4a_3x3: 192 3v",
)
DOUBLE = "branch3x3dbl_1: 64 1, branch3x3dbl_2: 96 3, branch3x3dbl_3: 96 3"
A = ("branch1x1: 64 1", "branch5x5_1: 48 1, branch5x5_2: 64 5", DOUBLE, "average, branch_pool: {} 1")
B = ("branch3x3: 384 3s2", DOUBLE + "s2", "halve")
C = (
    "branch1x1: 192 1",
    "branch7x7_1: {0} 1, branch7x7_2: {0} 1x7, branch7x7_3: 192 7x1",
    "branch7x7dbl_1: {0} 1, branch7x7dbl_2: {0} 7x1, branch7x7dbl_3: {0} 1x7, branch7x7dbl_4: {0} 7x1, "
    "branch7x7dbl_5: 192 1x7",
    "average, branch_pool: 192 1",
)
D = (
    "branch3x3_1: 192 1, branch3x3_2: 320 3s2",
    "branch7x7x3_1: 192 1, branch7x7x3_2: 192 1x7, branch7x7x3_3: 192 7x1, branch7x7x3_4: 192 3s2",
    "halve",
)
E = (
    "branch1x1: 320 1",
    "branch3x3_1: 384 1, branch3x3_2a: 384 1x3",
    "<branch3x3_1>, branch3x3_2b: 384 3x1",
    "branch3x3dbl_1: 448 1, branch3x3dbl_2: 384 3, branch3x3dbl_3a: 384 1x3",
    "<branch3x3dbl_2>, branch3x3dbl_3b: 384 3x1",
    "{}, branch_pool: 192 1",
)
BLOCKS = {
    **{f"Mixed_5{letter}": (A, width) for letter, width in zip("bcd", (32, 64, 64), strict=True)},
    "Mixed_6a": (B, None),
    **{f"Mixed_6{letter}": (C, width) for letter, width in zip("bcde", (128, 160, 160, 192), strict=True)},
    "Mixed_7a": (D, None),
    "Mixed_7b": (E, "average"),
    "Mixed_7c": (E, "maximum"),
}
POOLS = {
    "average": lambda x: F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False),
    "maximum": lambda x: F.max_pool2d(x, 3, stride=1, padding=1),
    "halve": lambda x: F.max_pool2d(x, 3, stride=2),
}


class Walk:
    """Runs the table on the tensors of a state; what the state lacks is drawn, by the images of the first call."""

    def __init__(self, state, seed=0):
        self.state, self.generator = state, torch.Generator().manual_seed(seed)

    def get(self, name, draw):
        if name not in self.state:
            self.state[name] = draw()
        return self.state[name]

    def uniform(self, low, high, *shape):
        return low + (high - low) * torch.rand(shape, generator=self.generator)

    def layer(self, x, name, outputs, kernel):
        size, pad, stride = (
            kernel.rstrip("v").removesuffix("s2"),
            not kernel.endswith(("v", "s2")),
            1 + ("s2" in kernel),
        )
        height, width = map(int, size.split("x")) if "x" in size else (int(size), int(size))
        shape = (outputs, x.shape[1], height, width)
        scale = (6 / (x.shape[1] * height * width)) ** 0.5
        x = F.conv2d(
            x,
            self.get(f"{name}.conv.weight", lambda: self.uniform(-scale, scale, *shape)),
            stride=stride,
            padding=(height // 2, width // 2) if pad else 0,
        )
        # Near those of the first images, or else all images would soon look alike.
        var = self.get(f"{name}.bn.running_var", lambda: x.var(dim=(0, 2, 3)).mean() * self.uniform(0.5, 2, outputs))
        shift = var.sqrt() * self.uniform(-0.5, 0.5, outputs)
        mean = self.get(f"{name}.bn.running_mean", lambda: x.mean(dim=(0, 2, 3)) + shift)
        weight = self.get(f"{name}.bn.weight", lambda: self.uniform(0.6, 1.4, outputs))
        bias = self.get(f"{name}.bn.bias", lambda: self.uniform(-0.5, 0.5, outputs))
        self.get(f"{name}.bn.num_batches_tracked", lambda: torch.tensor(0))
        return F.relu(F.batch_norm(x, mean, var, weight, bias, eps=1e-3))

    def branch(self, x, text, prefix, made):
        for part in text.split(", "):
            name, _, layer = part.partition(": ")
            if layer:
                outputs, kernel = layer.split()
                x = made[name] = self.layer(x, prefix + name, int(outputs), kernel)
            else:
                x = made[name[1:-1]] if name.startswith("<") else POOLS[name](x)
        return x

    @torch.no_grad()
    def __call__(self, x):
        """[B, 3, 299, 299] to features [B, 2048] and logits [B, 1008], without the bias that the state has for them."""
        for text in STEM:
            x = POOLS["halve"](self.branch(x, text, "", {}))
        for block, (branches, value) in BLOCKS.items():
            made = {}
            x = torch.cat([self.branch(x, text.format(value), f"{block}.", made) for text in branches], dim=1)
        features = x.mean(dim=(2, 3))
        self.get("fc.bias", lambda: self.uniform(-1, 1, 1008))
        return features, features @ self.get("fc.weight", lambda: self.uniform(-0.05, 0.05, 1008, 2048)).T


def tf1_resize(x, size=299):
    """[B, C, H, W] to [B, C, size, size] as TensorFlow 1 does it: by picking four neighbors."""
    for dim in (2, 3):
        n = x.shape[dim]
        position = torch.arange(size) * torch.tensor(n / size)
        low = position.long()
        share = (position - low).reshape([-1 if i == dim else 1 for i in range(4)])
        below, above = x.index_select(dim, low), x.index_select(dim, (low + 1).clamp(max=n - 1))
        x = below + (above - below) * share
    return x
