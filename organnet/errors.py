"""The one exception a user is meant to read, and text as its one line may hold it."""


class OrganNetError(Exception):
    """Something the user can mend: one line that says what, where, and what to do.

    The command line prints it without a traceback and ends with exit code 2.
    """


class RunError(OrganNetError):
    """A job that began well and did not end: the command line ends with exit code 1."""


def one_line(words: str, most: int = 80) -> str:
    """Text of a file as part of a message: printable, single spaces, at most so many letters."""
    printable = "".join(letter if letter.isprintable() else " " for letter in words)
    line = " ".join(printable.split())
    return line if len(line) <= most else line[: most - 3] + "..."
