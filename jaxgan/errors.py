"""Errors that a user or the machine's owner can mend, and how lists and values are shown in them."""

import errno
import reprlib
from collections.abc import Iterable

# Faults of the machine: a full or read-only disk, missing rights, too little memory.
MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
FULL = {errno.ENOSPC, errno.EDQUOT}
# The user can mend these too, except inside a checkpoint, where they mean damage.
PLACES = {
    errno.ENAMETOOLONG,
    errno.EISDIR,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.EIO,
    errno.EFBIG,
    errno.ELOOP,
    errno.EILSEQ,
}

ENTRIES = 5  # of a list that an error shows
VALUE = 80  # characters of a value that an error shows
TEXT = 1500  # characters of a whole error


class UserError(ValueError):
    """Says in one or two sentences what the user did wrong, what is allowed, and what to do next.

    `main` prints the text without a traceback and exits with code 2; from a notebook it is an ordinary `ValueError`.
    Show lists by `listed` and values by `shown`; a text that is too long all the same loses its middle.
    """

    def __init__(self, text: str = ""):
        super().__init__(_without_middle(text, TEXT))


class UnknownSplitError(UserError):
    """Says that a data set does not have a split."""


class NotFiniteError(UserError):
    """Says that examples, or what a network makes of them, are NaN or infinite.

    Attributes:
      value: the largest size of such a value: NaN or infinity.
    """

    def __init__(self, text: str = "", value: float = float("nan")):
        super().__init__(text)
        self.value = value


class NonFiniteError(FloatingPointError):
    """Says that training stopped because a scalar became NaN or infinite; the text names step and scalar.

    Attributes:
      step: the step that the scalars are of.
      scalars: all scalars of that step, by name.
    """

    def __init__(self, text: str, step: int, scalars: dict[str, float]):
        super().__init__(text)
        self.step, self.scalars = step, scalars


class Interrupted(KeyboardInterrupt):
    """Says that SIGTERM or Ctrl-C ended a training, after it was saved; the same call goes on with it.

    It is a `KeyboardInterrupt`, so that it ends loops over several trainings too.

    Attributes:
      state: the state that was saved.
      complete: whether this training was at its end all the same.
    """

    def __init__(self, text: str, state: object, complete: bool):
        super().__init__(text)
        self.state, self.complete = state, complete


def suggest(kind: str, name: object, allowed: Iterable[object]) -> UserError:
    """Makes an error for an unknown name, which says what is allowed and which name was probably meant."""
    import difflib

    names = [str(each) for each in allowed]
    given = name if isinstance(name, str) else shown(name)
    near = difflib.get_close_matches(given[:VALUE], names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return UserError(f"{kind} {shown(given)} is not known: allowed are {listed(names)}.{hint}")


def listed(items: Iterable[object], most: int = ENTRIES, between: str = ", ") -> str:
    """Joins the first entries of a list and says how many others there are.

    A single other entry is shown, since its number would take the same room.

    >>> listed("abcdef"), listed("abcdefgh")
    ('a, b, c, d, e, f', 'a, b, c, d, e and 3 others')
    """
    texts = [_without_middle(_printable(item), 2 * VALUE) for item in items]
    if len(texts) <= most + 1:
        return between.join(texts)
    return f"{between.join(texts[:most])} and {len(texts) - most:,} others"


def shown(value: object, most: int = VALUE) -> str:
    """Writes a value as Python would, cut to about `most` characters.

    >>> shown("a" * 100, most=20)
    "'aaaaaaa...aaaaaaaa'"
    """
    short = reprlib.Repr()
    short.maxstring = short.maxother = most
    short.maxlong = most
    try:
        text = short.repr(value)
    except Exception:  # the value's own `__repr__` fails, as that of an integer of 5,000 digits does
        return f"a value of type {type(value).__name__}"
    return _without_middle(text if text.isprintable() else " ".join(text.split()), most)


def _printable(item: object) -> str:
    text = item if isinstance(item, str) else shown(item, 2 * VALUE)
    return text if text.isprintable() else repr(text)[1:-1]  # a file's name may have line breaks


def _without_middle(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    end = (most - 3) // 2
    return f"{text[: most - 3 - end]}...{text[len(text) - end :]}"
