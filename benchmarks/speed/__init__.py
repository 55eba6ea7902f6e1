"""Step times of jaxgan and PyTorch, in turn."""
