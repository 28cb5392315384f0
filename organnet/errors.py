"""The one exception a user is meant to read, and what its one line may hold."""


class OrganNetError(Exception):
    """Something the user can mend: one line that says what, where, and what to do.

    The command line prints it without a traceback and ends with exit code 2.
    """


class RunError(OrganNetError):
    """A job that began well and did not end: the command line ends with exit code 1."""


def is_out_of_memory(error: Exception) -> bool:
    """Whether it is a MemoryError, for which torch and ITK have words of their own."""
    words = ("can't allocate memory", "not enough memory", "out of memory", "bad_alloc")
    said = isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    return said or isinstance(error, MemoryError)


def one_line(words: str, most: int = 80) -> str:
    """Text of a file as part of a message: printable, single spaces, at most so many letters."""
    printable = "".join(letter if letter.isprintable() else " " for letter in words)
    line = " ".join(printable.split())
    return line if len(line) <= most else line[: most - 3] + "..."


def shortened(names: list[str], most: int = 5) -> str:
    """The first few names and how many more there are, for a one-line message."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "none") + more


def choose(what: str, value: str, valid: tuple[str, ...]) -> None:
    """Raise OrganNetError that lists the valid values unless `value` is among them."""
    if value not in valid:
        raise OrganNetError(f"unknown {what} '{value}': choose one of {', '.join(valid)}")
