"""Compares jaxgan with PyTorch: the same models in both, a proof that they compute the same, and their speed."""
