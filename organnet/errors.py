"""The one exception a user is meant to read."""


class OrganNetError(Exception):
    """Something the user can mend: one line that says what, where, and what to do.

    The command line prints it without a traceback and ends with exit code 2.
    """


class RunError(OrganNetError):
    """A job that began well and did not end: the command line ends with exit code 1."""
