"""Measures the step times of jaxgan and PyTorch in turn."""
