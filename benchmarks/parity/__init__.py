"""The same mathematics as PyTorch, step for step."""
