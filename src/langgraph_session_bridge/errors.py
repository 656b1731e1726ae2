"""Every error that this library raises: one root, few leaves, each also the built-in that callers expect."""

from __future__ import annotations

from datetime import datetime


class SessionBridgeError(Exception):
    """Root of every error of this library; `except SessionBridgeError` catches them all."""


class InvalidInputError(SessionBridgeError, ValueError):
    """A value handed in (an id, a filter, a limit) cannot be used; nothing was written."""


class InvalidTypeError(SessionBridgeError, TypeError):
    """A value handed in has the wrong type; nothing was written."""


class ConfigurationError(SessionBridgeError, ValueError):
    """Settings, servers or clients do not fit together; the message says what to change."""


class EventLoopError(SessionBridgeError, RuntimeError):
    """A call came from a loop or thread where it would deadlock or break a client."""


class ClosedError(SessionBridgeError, RuntimeError):
    """The saver or bridge was closed before the call."""


class UnavailableError(SessionBridgeError, ConnectionError):
    """A server that this call needs did not answer in time; retrying later is safe."""


class JournalUnavailableError(UnavailableError):
    """Redis did not answer in time."""


class BacklogFullError(UnavailableError):
    """The journal holds as much unflushed data as it may, and the archive does not drain it."""


class DurabilityTimeoutError(SessionBridgeError, TimeoutError):
    """The promised level was not confirmed in time; the write may still arrive."""


class ValueTooLargeError(SessionBridgeError, ValueError):
    """A channel value or a pending write is over the configured ceiling; nothing was written."""


class RefusedError(SessionBridgeError, ValueError):
    """MongoDB refuses a document for good; trying again is useless until it, or the database, is changed."""


class DeadLetterError(SessionBridgeError, RuntimeError):
    """Puts of the thread are in Redis alone, parked as dead letters: `redrive` or `discard` them."""


class PurgeIncompleteError(SessionBridgeError, RuntimeError):
    """A delete did not reach every tier; calling it again is safe and finishes it."""


class DataIntegrityError(SessionBridgeError, RuntimeError):
    """Stored data is missing or unreadable; the message names the document."""


class EmbeddedServerError(SessionBridgeError, RuntimeError):
    """An embedded server could not be found, started or reached; the message names the alternatives."""


class OutsideRunError(SessionBridgeError, RuntimeError):
    """A call that belongs into a running node or tool came from outside of any run; the message names the way there."""


class SessionNotFoundError(SessionBridgeError, LookupError):
    """There is no such session, or it is not one of the user's in whose name it was asked for."""


class InvalidTransitionError(SessionBridgeError, ValueError):
    """A session cannot go from its status to the wanted one; the message says where it can go."""


class SessionConflictError(SessionBridgeError, RuntimeError):
    """Somebody else changed, or made, the session in between; read it again and decide anew."""


class SessionBusyError(SessionBridgeError, RuntimeError):
    """Somebody else holds the session's lease.

    Attributes:
        owner: Who.
        until: When the lease ends, unless it is renewed.
    """

    def __init__(self, message: str, *, owner: str | None = None, until: datetime | None = None) -> None:
        super().__init__(message)
        self.owner, self.until = owner, until


class SessionFencedError(SessionBusyError):
    """The lease under which something was put was lost to somebody else; nothing was written."""


class SessionPausedError(SessionBridgeError, RuntimeError):
    """The session is paused, and no run of it may begin before it is resumed."""


class SessionEndedError(SessionBridgeError, RuntimeError):
    """The session has ended and takes nothing more, unless it is reopened."""


class NotResumableError(SessionBridgeError, RuntimeError):
    """A session cannot be resumed.

    Attributes:
        reason: Why not, in one word or two.
    """

    def __init__(self, message: str, *, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason
