"""Layers that know nothing of GANs: convolutions, spectral norm, batch norm."""
