"""Shortens the messages of errors to one line."""

import re

# The codes that make text bold in a terminal.
_STYLE = re.compile(r"\x1b\[\d*m")
_LONGEST = 400


def short_error(error: Exception) -> str:
    """Returns the message of an error, without what Keras puts around it."""
    text = str(error).split("Exception encountered: ")[-1]
    text = text.split("Example:")[0]  # What follows is a class in full.
    text = " ".join(_STYLE.sub("", text).split()) or type(error).__name__
    if len(text) <= _LONGEST:
        return text.rstrip(".")
    return f"{text[:_LONGEST]}..."
