"""Driver clients: opened from addresses, or accepted after a check that they can serve."""

from __future__ import annotations

import asyncio
from typing import Any

from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient, MongoClient
from pymongo import errors as mongo_errors
from pymongo.uri_parser import parse_uri
from redis import Redis as SyncRedis
from redis import exceptions as redis_errors
from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster, Sentinel
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import NoBackoff

from langgraph_session_bridge.errors import ConfigurationError, InvalidTypeError
from langgraph_session_bridge.settings import Settings
from langgraph_session_bridge.storage.addresses import RedisAddress, parse_redis_address


def check_addresses(mongodb_uri: object, redis_url: object) -> None:
    """Refuses addresses that cannot name a server, before anything is opened.

    Raises:
        InvalidTypeError: An address is not a string.
        ConfigurationError: An address has the wrong form.
    """
    for name, value in (("mongodb_uri", mongodb_uri), ("redis_url", redis_url)):
        if not isinstance(value, str) and not (name == "redis_url" and value is None):
            message = f"{name} must be a string, not {type(value).__name__}. Clients of your own go to the constructor."
            raise InvalidTypeError(message)
    try:
        if "://" not in str(mongodb_uri):
            raise ValueError("no scheme")
        if not str(mongodb_uri).startswith("mongodb+srv://"):  # whose name is looked up when it is opened
            parse_uri(str(mongodb_uri))
    except (mongo_errors.PyMongoError, ValueError) as error:
        message = f"The MongoDB address cannot be used: {error}. Expected something like mongodb://host:27017."
        raise ConfigurationError(message) from error
    if redis_url is not None:
        parse_redis_address(str(redis_url))


def open_mongo(uri: str, settings: Settings) -> Any:
    """A client for the running event loop."""
    options: dict[str, Any] = {
        "appname": "langgraph-session-bridge",
        "maxPoolSize": settings.max_concurrency,
        "serverSelectionTimeoutMS": int(settings.connect_timeout_s * 1000),
        "connectTimeoutMS": int(settings.connect_timeout_s * 1000),
        "timeoutMS": int(settings.operation_timeout_s * 1000),
    }
    given = uri.partition("?")[2].lower()
    options = {name: value for name, value in options.items() if name.lower() + "=" not in given}
    try:
        if settings.driver == "motor":
            return AsyncIOMotorClient(uri, io_loop=asyncio.get_running_loop(), **options)
        return AsyncMongoClient(uri, **options)
    except mongo_errors.ConfigurationError as error:  # for example an unknown name in mongodb+srv://
        raise ConfigurationError(f"The MongoDB address cannot be used: {error}.") from error


def open_redis(url: str, settings: Settings) -> Any:
    """A client for the running event loop, for one server, a cluster or a service of Sentinel's.

    Raises:
        ConfigurationError: The address has an option that the driver does not know.
    """
    address = parse_redis_address(url)
    options: dict[str, Any] = {
        "max_connections": settings.max_concurrency,
        "socket_timeout": settings.operation_timeout_s,
        "socket_connect_timeout": settings.connect_timeout_s,
        "retry": Retry(NoBackoff(), 0),  # a retry must be seen here: it may be a restart or a failover
    }
    try:
        if address.kind == "cluster":
            client = _open_cluster(address, options)
            _check_primaries(client)
            return client
        if address.kind == "sentinel":
            client = _open_sentinel(address, options, settings)
        else:
            # The pool waits instead of failing. What the address says goes before what the settings say.
            pool = BlockingConnectionPool.from_url(url, timeout=settings.operation_timeout_s, **options)
            client = Redis.from_pool(pool)
        client.connection_pool.make_connection()  # not connected yet: refuses options that it does not know
    except (TypeError, ValueError, redis_errors.RedisError, redis_errors.RedisClusterException) as error:
        raise ConfigurationError(f"The Redis address cannot be used: {error}.") from error
    return client


def _open_cluster(address: RedisAddress, options: dict[str, Any]) -> Any:
    nodes = [ClusterNode(host, port) for host, port in address.nodes]
    tls: dict[str, Any] = {"ssl": True} if address.tls else {}
    # Moved slots are followed one by one: looking up all of them anew would cut the connections of other calls.
    return RedisCluster(startup_nodes=nodes, reinitialize_steps=0, **(options | tls | address.options))


def _open_sentinel(address: RedisAddress, options: dict[str, Any], settings: Settings) -> Any:
    tls: dict[str, Any] = {"ssl": True} if address.tls else {}
    asking = {
        "socket_timeout": settings.connect_timeout_s,
        "socket_connect_timeout": settings.connect_timeout_s,
        "retry": options["retry"],
    }
    sentinel = Sentinel(address.nodes, sentinel_kwargs=asking | tls | address.sentinel_options)  # type: ignore[no-untyped-call]
    return sentinel.master_for(address.service, **(options | tls | address.options))


def check_mongo(client: Any) -> None:
    """Refuses clients that cannot serve asyncio."""
    if isinstance(client, MongoClient):
        message = (
            "mongo_client is a blocking pymongo.MongoClient. Pass a pymongo.AsyncMongoClient or a Motor "
            "AsyncIOMotorClient, or let SessionBridgeSaver.from_conn_string(uri) open its own."
        )
        raise InvalidTypeError(message)
    if not isinstance(client, (AsyncMongoClient, AsyncIOMotorClient)):
        message = (
            "mongo_client must be a pymongo.AsyncMongoClient or a Motor AsyncIOMotorClient, not "
            f"{type(client).__name__}. For an address, use SessionBridgeSaver.from_conn_string(uri)."
        )
        raise InvalidTypeError(message)


def check_redis(client: Any) -> None:
    """Refuses clients that cannot serve asyncio, or that decode replies to text."""
    if isinstance(client, SyncRedis) or not isinstance(client, (Redis, RedisCluster)):
        message = (
            f"redis_client must be a redis.asyncio.Redis or RedisCluster, not {type(client).__module__}."
            f"{type(client).__name__}. For an address, use SessionBridgeSaver.from_conn_string(uri, redis_url)."
        )
        raise InvalidTypeError(message)
    if client.get_encoder().decode_responses:
        message = "redis_client has decode_responses=True, which breaks binary values. Create it without that option."
        raise ConfigurationError(message)
    _check_primaries(client)


def _check_primaries(client: Redis | RedisCluster) -> None:
    if _reads_replicas(client):
        message = (
            "The Redis client reads from replicas, which lag behind: a put that is not there yet would look flushed. "
            "Leave `read_from_replicas` and `load_balancing_strategy` out, and use `Sentinel.master_for`."
        )
        raise ConfigurationError(message)


def _reads_replicas(client: Redis | RedisCluster) -> bool:
    if isinstance(client, RedisCluster):
        return bool(client.read_from_replicas or getattr(client, "load_balancing_strategy", None))
    return isinstance(client.connection_pool, SentinelConnectionPool) and not client.connection_pool.is_master
