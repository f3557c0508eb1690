"""The one exception that stands for a user's mistake: printed as it is, exit code 2, no traceback."""

from __future__ import annotations


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
