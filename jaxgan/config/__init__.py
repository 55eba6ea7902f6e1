"""Every key of a configuration: its meaning, its default and its check."""

from jaxgan.config.config import Config, as_config, defaults, load_file

__all__ = ["Config", "as_config", "defaults", "load_file"]
