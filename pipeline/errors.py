"""The one exception that stands for a user's mistake: printed as it is, exit code 2, no traceback; and what no message may hold."""

from __future__ import annotations

import re


class UserError(Exception):
    """A mistake in the user's files or settings, told in one line each.

    The text names the file, key or column, what was expected and what came.  Several mistakes found
    together are given as several arguments and printed one a line.
    """

    def __init__(self, *messages: str) -> None:
        super().__init__(*messages)
        self.messages = messages

    def __str__(self) -> str:
        return "\n".join(self.messages)


def masked(text: str) -> str:
    """The text without the passwords of its addresses."""
    return re.sub(r"(//[^/@:\s]*):[^/@\s]*@", r"\1:***@", text)
