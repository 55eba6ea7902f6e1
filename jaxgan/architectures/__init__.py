"""Defines pairs of a generator and a discriminator, one file for each, and the dict `ARCHITECTURES`."""

from jaxgan.architectures import biggan, dcgan, mlp, r3gan, sagan, sngan_resnet
from jaxgan.architectures.base import D_CONDITIONINGS, G_CONDITIONINGS, OUTPUT_ACTIVATIONS, Architecture, DOutput

ARCHITECTURES: dict[str, Architecture] = {
    "biggan": Architecture(biggan.Generator, biggan.Discriminator, biggan.check),
    "dcgan": Architecture(dcgan.Generator, dcgan.Discriminator, dcgan.check),
    "mlp": Architecture(mlp.Generator, mlp.Discriminator, mlp.check, convolutional=False),
    "r3gan": Architecture(r3gan.Generator, r3gan.Discriminator, r3gan.check, lacks=r3gan.LACKS),
    "sagan": Architecture(sagan.Generator, sagan.Discriminator, sagan.check),
    "sngan_resnet": Architecture(sngan_resnet.Generator, sngan_resnet.Discriminator, sngan_resnet.check),
}

__all__ = ["ARCHITECTURES", "D_CONDITIONINGS", "G_CONDITIONINGS", "OUTPUT_ACTIVATIONS", "Architecture", "DOutput"]
