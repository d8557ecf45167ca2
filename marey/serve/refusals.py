"""Why a request gets no answer, in plain words and as a status of HTTP."""

from __future__ import annotations

from marey.errors import DecodeError, MareyError, StorageError


class Refused(Exception):
    """What is answered in place of an answer."""

    def __init__(
        self, status: int, message: str, hint: str = "", *, retry_after: int | None = None
    ) -> None:
        """A refusal.

        Args:
            status: of HTTP.
            message: what was wrong.
            hint: the remedy.
            retry_after: seconds after which it may go better.
        """
        super().__init__(message)
        self.status, self.message, self.hint = status, message, hint
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[type[Refused], tuple[int, str, str]]:
        return type(self), (self.status, self.message, self.hint)  # out of a decoding process


def refusal(error: MareyError) -> Refused:
    """The same as a refusal: a video that cannot be read is the client's, a failing disk ours."""
    is_clients = isinstance(error, DecodeError) and not isinstance(error, StorageError)
    return Refused(422 if is_clients else 503, error.message, error.hint)
