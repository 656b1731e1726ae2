"""Settings of a session manager that stands alone, from the environment: our names first, then the founding ones."""

from __future__ import annotations

from typing import Any, Literal, Self
from urllib.parse import quote, unquote, urlencode, urlsplit

from pydantic import AliasChoices, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from langgraph_session_bridge.errors import ConfigurationError

Storage = Literal["memory", "redis", "mongodb", "both"]
"""Where sessions are kept; `both` is MongoDB behind Redis."""

SWEEP_INTERVAL_S = 300.0


class SessionSettings(BaseSettings):
    """What `SessionManager.from_env` goes by; each field can be handed in by its name as well."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, env_ignore_empty=True, hide_input_in_errors=True
    )

    storage: Storage | None = Field(None, validation_alias=AliasChoices("LSB_SESSION_STORAGE", "SESSION_STORAGE_TYPE"))
    """Where sessions are kept; by default wherever an address is given, and in memory without any."""
    mongodb_uri: str | None = Field(None, validation_alias=AliasChoices("LSB_MONGODB_URI", "MONGODB_URI"))
    """Address of MongoDB."""
    redis_url: str | None = Field(None, validation_alias=AliasChoices("LSB_REDIS_URL", "REDIS_URL"))
    """Address of Redis."""
    redis_password: str | None = Field(
        None, validation_alias=AliasChoices("LSB_REDIS_PASSWORD", "REDIS_PASSWORD"), repr=False
    )
    """Password, where the address has none."""
    redis_db: int | None = Field(None, ge=0, validation_alias=AliasChoices("LSB_REDIS_DB", "REDIS_DB"))
    """Number of the database, where the address has none."""
    prefix: str = Field("lsb", validation_alias=AliasChoices("LSB_PREFIX", "SESSION_PREFIX"))
    """First part of every Redis key; colons within it become dots, and those at its end are left out."""
    idle_ttl_s: float | None = Field(None, gt=0, validation_alias=AliasChoices("LSB_SESSION_IDLE_TTL_S", "SESSION_TTL"))
    """Sessions that are made without one expire when nothing happened for so long; never by default."""
    hard_ttl_s: float | None = Field(None, gt=0, validation_alias=AliasChoices("LSB_SESSION_HARD_TTL_S"))
    """Likewise so long after they were made."""
    sweep_interval_s: float | None = Field(
        None, ge=0, validation_alias=AliasChoices("LSB_SESSION_SWEEP_INTERVAL_S", "CLEANUP_INTERVAL")
    )
    """How often sessions are deleted whose lifetime is over; 300 if sessions get a lifetime here, 0 is never."""
    memory_max_sessions: int = Field(
        1000, ge=1, validation_alias=AliasChoices("LSB_MEMORY_MAX_SESSIONS", "MEMORY_MAX_SESSIONS", "MAX_SESSIONS")
    )
    """How many are kept in memory; no other place forgets sessions because there are many."""
    memory_cleanup_interval_s: float | None = Field(
        None, gt=0, validation_alias=AliasChoices("LSB_MEMORY_CLEANUP_INTERVAL_S", "MEMORY_CLEANUP_INTERVAL")
    )
    """As `sweep_interval_s`, for memory."""

    @field_validator("prefix")
    @classmethod
    def _without_colons(cls, value: str) -> str:
        return value.strip(":").replace(":", ".")

    @classmethod
    def create(cls, **given: Any) -> Self:
        """Settings from the environment, but for what is given.

        Raises:
            ConfigurationError: A name is unknown, or a value cannot be used.
        """
        try:
            return cls(**given)
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise ConfigurationError(f"The settings of sessions cannot be used ({problems}).") from error

    @property
    def place(self) -> Storage:
        """Where sessions are kept.

        Raises:
            ConfigurationError: An address that is needed is missing.
        """
        chosen: Storage
        if self.storage is not None:
            chosen = self.storage
        elif self.mongodb_uri is not None:
            chosen = "mongodb" if self.redis_url is None else "both"
        else:
            chosen = "memory" if self.redis_url is None else "redis"
        if chosen in ("mongodb", "both") and self.mongodb_uri is None:
            raise ConfigurationError(f"LSB_MONGODB_URI (or MONGODB_URI) is not set, and storage={chosen!r} needs it.")
        if chosen in ("redis", "both") and self.redis_url is None:
            raise ConfigurationError(f"LSB_REDIS_URL (or REDIS_URL) is not set, and storage={chosen!r} needs it.")
        return chosen

    @property
    def redis_address(self) -> str:
        """The address of Redis with password and database.

        Raises:
            ConfigurationError: The address says otherwise.
        """
        url = self.redis_url or ""
        parts = urlsplit(url)
        if parts.scheme == "unix":
            extra = {"password": self.redis_password, "db": self.redis_db}
            wanted = urlencode({name: value for name, value in extra.items() if value is not None})
            return url + (("&" if parts.query else "?") + wanted if wanted else "")
        netloc, path = parts.netloc, parts.path
        if self.redis_password is not None:
            if parts.password is not None and unquote(parts.password) != self.redis_password:
                raise ConfigurationError("REDIS_PASSWORD and the address of Redis say different passwords; keep one.")
            credentials = f"{parts.username or ''}:{quote(self.redis_password, safe='')}"
            netloc = f"{credentials}@{netloc.rpartition('@')[2]}"
        if self.redis_db is not None:
            if path.strip("/") not in ("", str(self.redis_db)):
                raise ConfigurationError(f"REDIS_DB={self.redis_db}, and the address of Redis says another database.")
            path = f"/{self.redis_db}"
        return parts._replace(netloc=netloc, path=path).geturl()

    @property
    def sweeps_every_s(self) -> float:
        """How often to sweep; 0 for never."""
        own = self.memory_cleanup_interval_s if self.place == "memory" else None
        interval = own if own is not None else self.sweep_interval_s
        if interval is not None:
            return interval
        return SWEEP_INTERVAL_S if self.idle_ttl_s is not None or self.hard_ttl_s is not None else 0.0
