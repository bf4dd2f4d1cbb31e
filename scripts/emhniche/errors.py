"""The one exception that a user's mistake raises."""


class InputError(Exception):
    """Input that cannot be used.

    The message is one line for the user: it names the file, the row or key, what is wrong and
    what would be right. Scripts print it without a traceback and end with exit status 1.
    """
