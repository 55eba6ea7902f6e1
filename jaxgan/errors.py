"""The one exception that means "the user can mend this", and what the machine's owner has to mend."""

import errno

# Any other OSError may be a fault of the program, or of what it reads.
MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
# Nor are these, but what a checkpoint is made of may be damaged so.
PLACES = {errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.EIO, errno.EFBIG}


class UserError(ValueError):
    """A mistake of the user's: its text is one clear sentence, shown without a traceback.

    It names what was wrong and what is allowed. `main` prints it and exits with code 2; from a
    notebook it is an ordinary `ValueError`.
    """


class UnknownSplitError(UserError):
    """A split that a data set does not have."""


class NotFiniteError(UserError):
    """Examples, or what a network makes of them, that are NaN or infinite."""


def suggest(kind: str, name: object, allowed) -> UserError:
    """An error for an unknown name: says what is allowed and which one was probably meant."""
    import difflib

    names = [str(a) for a in allowed]
    near = difflib.get_close_matches(str(name), names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return UserError(f"{kind} {str(name)!r} is not known: allowed are {', '.join(names)}.{hint}")


class NonFiniteError(FloatingPointError):
    """Training stopped because a scalar became NaN or infinite; its text names step and scalar.

    Attributes:
      step: of which the scalars are.
      scalars: all of them, by name.
    """

    def __init__(self, text: str, step: int, scalars: dict[str, float]):
        super().__init__(text)
        self.step, self.scalars = step, scalars
