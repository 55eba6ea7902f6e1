"""Generator/discriminator pairs, one file each, and the dict `ARCHITECTURES`."""

from jaxgan.architectures import dcgan, mlp, resnet
from jaxgan.architectures.base import D_CONDITIONINGS, G_CONDITIONINGS, OUTPUT_ACTIVATIONS, Architecture, DOutput

ARCHITECTURES: dict[str, Architecture] = {
    "dcgan": Architecture(dcgan.Generator, dcgan.Discriminator, dcgan.check),
    "mlp": Architecture(mlp.Generator, mlp.Discriminator, mlp.check),
    "sngan_resnet": Architecture(resnet.Generator, resnet.Discriminator, resnet.check),
}

__all__ = ["ARCHITECTURES", "D_CONDITIONINGS", "G_CONDITIONINGS", "OUTPUT_ACTIVATIONS", "Architecture", "DOutput"]
