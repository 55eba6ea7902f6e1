"""Networks of the user's own: what they are called in a record, and how the command line finds them.

Nothing that a workdir names is ever imported. A user who trusts it names the module on the command line.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from typing import Any

import flax.linen as nn

from jaxgan.errors import UserError, shown, suggest

PARTS = ("generator", "discriminator")


def names(generator: nn.Module | None, discriminator: nn.Module | None) -> dict[str, str]:
    """Names the modules that the user brought, as `package.module:Class`, by the part they play."""
    given = dict(zip(PARTS, (generator, discriminator), strict=True))
    return {
        part: f"{type(module).__module__}:{type(module).__qualname__}"
        for part, module in given.items()
        if module is not None
    }


def check_given(workdir: str | os.PathLike, recorded: Mapping[str, str] | None, given: Mapping[str, str]) -> None:
    """Checks that a run's own modules are given again, and no others.

    Args:
      workdir: the directory of the run.
      recorded: `names` of what the run was trained with; None: its record does not say.
      given: `names` of what is given now. Names may differ, since a class can be reached by several.

    Raises:
      UserError: a module is missing, or given where the run has the network of its configuration.
    """
    for part in PARTS if recorded is not None else ():
        assert recorded is not None
        if part in recorded and part not in given:
            name = recorded[part]
            raise UserError(
                f"{workdir} was trained with your own {part}, {shown(name)}: pass {part}=, or on the command line "
                f"--{part}=package.module:Class, which runs the code of that module."
            )
        if part in given and part not in recorded:
            raise UserError(
                f"{workdir} was trained with the {part} of its configuration, not with your own: leave {part} out, or "
                "choose another workdir."
            )


def find(text: str, part: str) -> nn.Module:
    """Imports the module that a flag names as `package.module:Class`, which may also name an instance or a function.

    The current directory is searched too. A class or function is called without arguments.

    Raises:
      UserError: there is no such module or name, or it does not give a Linen module.
    """
    flag = f"--{part}={text}"
    package, colon, name = text.partition(":")
    if not (colon and package and name):
        raise UserError(f"{flag} is not understood: it must be --{part}=package.module:Class.")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        module: Any = importlib.import_module(package)
    except Exception as error:  # whatever the user's own code raises
        if isinstance(error, ModuleNotFoundError) and error.name and f"{package}.".startswith(f"{error.name}."):
            raise UserError(
                f"{flag} names a module that is not found: run the command in the directory that {package} lies in, "
                "or add that to PYTHONPATH."
            ) from None
        raise UserError(f"{flag} cannot be imported ({type(error).__name__}: {shown(str(error))}).") from None
    found = module
    for each in name.split("."):
        if not hasattr(found, each):
            raise suggest(f"{flag}: the name", each, [known for known in vars(found) if not known.startswith("_")])
        found = getattr(found, each)
    if not isinstance(found, nn.Module) and callable(found):
        try:
            found = found()
        except Exception as error:  # whatever the user's own code raises
            raise UserError(
                f"{flag} cannot be made without arguments ({type(error).__name__}: {shown(str(error))}): name a "
                "function without parameters that returns the module."
            ) from None
    if not isinstance(found, nn.Module):
        raise UserError(f"{flag} gives {shown(found)}: it must give a Linen module, flax.linen.Module.")
    return found
