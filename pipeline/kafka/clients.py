"""Kafka-python's clients, opened with our options and speaking our errors.

A wrong password reaches kafka-python's caller only as "unable to bootstrap" after a time-out; the cause is
in the client's own log. :func:`connected` listens there while it connects, and tells the two apart.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka import errors as kafka_errors

from pipeline.errors import BrokerError, BrokerUnreachable, Fenced, PermissionDenied, SettingsError
from pipeline.events import Records

__all__ = ["Client", "connected", "keep_rejoining", "records_of", "translated"]

Client = Mapping[str, Any]
"""Options that every client shares: ``bootstrap_servers`` and whatever ``kafka.client`` holds."""

BOOTSTRAP_TIMEOUT_MS = 6_000  # a job that is told to stop has ten seconds in all
HANG_UPS = 4
CONNECTIONS = "kafka.net"

DENIED = (
    kafka_errors.AuthorizationError,
    kafka_errors.SaslAuthenticationFailedError,
    kafka_errors.UnsupportedSaslMechanismError,
)
FENCED = (
    kafka_errors.CommitFailedError,
    kafka_errors.FencedInstanceIdError,
    kafka_errors.IllegalGenerationError,
    kafka_errors.InvalidProducerEpochError,
    kafka_errors.InvalidProducerIdMappingError,
    kafka_errors.InvalidTxnStateError,
    kafka_errors.OffsetOutOfRangeError,
    kafka_errors.OutOfOrderSequenceNumberError,
    kafka_errors.ProducerFencedError,
    kafka_errors.RebalanceInProgressError,
    kafka_errors.TransactionAbortableError,
    kafka_errors.TransactionAbortedError,
    kafka_errors.TransactionCoordinatorFencedError,
    kafka_errors.UnknownMemberIdError,
    kafka_errors.UnknownProducerIdError,
)


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn kafka-python's errors into ours; ``doing`` says what was tried, for the message.

    Raises
    ------
    PermissionDenied
        The broker refuses this user, or does not know it.
    Fenced
        Another process owns the work, or a transaction's outcome is not known.
    BrokerUnreachable
        Nobody answers in time.
    BrokerError
        Anything else that Kafka said.
    """
    try:
        yield
    except kafka_errors.KafkaError as error:
        cause = _root(error)
        if isinstance(cause, DENIED):
            raise PermissionDenied(f"{doing}: the broker refuses this user: {cause}") from error
        if isinstance(cause, FENCED):
            raise Fenced(f"{doing}: {cause}") from error
        if isinstance(cause, kafka_errors.RetriableError):
            raise BrokerUnreachable(f"{doing}: {cause}") from error
        raise BrokerError(f"{doing}: {cause}") from error


def _root(error: BaseException) -> BaseException:
    """Return the innermost error; kafka-python passes the first failure on as an argument of later ones."""
    inner = next((one for one in error.args if isinstance(one, BaseException)), None)
    return error if inner is None else _root(inner)


def connected(make: Any, client: Client, tuning: Client | None = None, law: Client | None = None) -> Any:
    """Open one of kafka-python's clients.

    Parameters
    ----------
    make
        KafkaConsumer, KafkaProducer or KafkaAdminClient.
    client
        The user's options; those that ``make`` does not know belong to another kind of client.
    tuning, law
        Our options: the user's win over ``tuning``, ``law`` wins over the user's.

    Raises
    ------
    SettingsError
        An option that no client knows, or a value that this one refuses.
    PermissionDenied, BrokerUnreachable
        The broker refuses the user; nobody answers.
    """
    _check_names(client)
    mine = {key: value for key, value in client.items() if key in make.DEFAULT_CONFIG}
    options = {"bootstrap_timeout_ms": BOOTSTRAP_TIMEOUT_MS, **(tuning or {}), **mine, **(law or {})}
    made = make.__new__(make)  # apart from __init__, so that what a failure leaves half made can be closed
    with _overheard() as complaints:
        try:
            made.__init__(**options)
        except (kafka_errors.KafkaConfigurationError, ValueError, AssertionError) as wrong:
            _let_go(made)
            raise SettingsError(f"kafka.client: {wrong}") from wrong
        except kafka_errors.KafkaError as error:
            _let_go(made)
            raise _why_not_connected(client, error, complaints) from error
    return made


def _let_go(half_made: Any) -> None:
    """End the I/O thread and sockets that a failed constructor leaves running, one set for each attempt."""
    network = getattr(half_made, "_client", None)
    if network is not None:
        network.close()


def keep_rejoining(consumer: KafkaConsumer) -> bool:
    """Call before each poll of a group's member, so that no assignment on its way is forgotten.

    A rejoin that new metadata asked for (a topic appeared, or grew) is dropped by kafka-python when the poll ends
    before the broker's answer: its condition no longer holds then, and nobody takes the answer. Apache Kafka's own
    client had the same fault, KAFKA-9815, and the same cure: to write down that a rejoin is due.

    Returns
    -------
    bool
        Whether the member is joining. An answer that comes between two polls is thrown away and the group joined
        anew, so these polls want to be long: with polls of a millisecond on a busy machine nearly all are lost.
    """
    coordinator = consumer._coordinator
    joining = bool(coordinator.rejoining or coordinator.need_rejoin())
    if joining:
        coordinator.request_rejoin()
    return joining


def _why_not_connected(client: Client, error: Exception, complaints: list[Exception]) -> BrokerError:
    where = str(client["bootstrap_servers"])
    denied = next((one for one in complaints if isinstance(one, DENIED)), None)
    if denied is None and isinstance(error, DENIED):
        denied = error
    if denied is not None:
        return PermissionDenied(f"{where} refuses this user (check user, password and mechanism): {denied}")
    if str(client.get("security_protocol", "")).startswith("SASL") and _hung_up_on(complaints):
        return PermissionDenied(f"{where} refuses this user (check user, password and mechanism): it hangs up on us")
    return BrokerUnreachable(f"nobody answers at {where}: {complaints[-1] if complaints else error}")


def _hung_up_on(complaints: list[Exception]) -> bool:
    """Whether connection after connection was made, and closed by the broker.

    It says why, and hangs up at once; a client that is slow to read sees only the second. A broker that is down
    refuses connections, one that restarts does so sooner or later.
    """
    told = [str(one) for one in complaints]
    return sum("socket disconnected" in one for one in told) >= HANG_UPS and not any("REFUSED" in one for one in told)


def _check_names(client: Client) -> None:
    known: set[str] = set()
    for make in (KafkaConsumer, KafkaProducer, KafkaAdminClient):
        known |= set(make.DEFAULT_CONFIG)
    for key in client:
        if key not in known:
            near = get_close_matches(key, known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise SettingsError(f"kafka.client: {key} is not an option of kafka-python{hint}")


class _Listener(logging.Handler):
    """Collects the errors that the client logs while it connects."""

    def __init__(self, heard: list[Exception]) -> None:
        super().__init__(logging.WARNING)
        self.heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        arguments = record.args if isinstance(record.args, tuple) else ()
        self.heard.extend(one for one in arguments if isinstance(one, Exception))


@contextmanager
def _overheard() -> Iterator[list[Exception]]:
    """Listen to the connection's log, and keep it off the screen: its errors are raised by us."""
    heard: list[Exception] = []
    logger, listener = logging.getLogger(CONNECTIONS), _Listener(heard)
    before = logger.level, logger.propagate
    logger.addHandler(listener)
    logger.level, logger.propagate = logging.WARNING, False
    try:
        yield heard
    finally:
        logger.level, logger.propagate = before
        logger.removeHandler(listener)


def records_of(found: list[Any]) -> Records:
    """What a consumer polled of one partition, at least one record, in our words."""
    return Records(
        topic=found[0].topic,
        partition=found[0].partition,
        offsets=[one.offset for one in found],
        times=[one.timestamp for one in found],
        keys=[one.key for one in found],
        values=[one.value for one in found],
    )
