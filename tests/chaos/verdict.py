"""What a round brought, against a run that met no fault: the same records and decisions, here, one after one."""

from collections import Counter, deque

import msgspec

from pipeline.catalog import Catalog
from pipeline.codecs import decode
from pipeline.events import Decision, Notice, Records
from pipeline.incident import CloudEvent
from pipeline.kafka.follow import read_all
from pipeline.state.bundles import Bundles
from pipeline.state.snapshot import Mark
from pipeline.state.snapshots import Snapshots
from pipeline.state.store import store_at
from pipeline.stream import PartitionStream, Plan
from pipeline.work import Work, rows_of

event_of = msgspec.json.Decoder(CloudEvent).decode
decision_of = msgspec.json.Decoder(Decision).decode
notice_of = msgspec.json.Decoder(Notice).decode


def reference(records, decisions, bundles):
    """The events, rejected records and state of a partition that met no fault but obeyed the same decisions."""
    ordered = deque(sorted(decisions, key=lambda one: one.sequence))
    assert [one.sequence for one in ordered] == list(range(len(ordered))), "decisions lost or doubled"
    plan = next(msgspec.convert(one.value, Plan) for one in ordered if one.kind == "settings")
    work = Work(PartitionStream(plan, records.topic, records.partition), 0, 0, 0, bundles.get)
    work.culprits = {one.value["culprit"] for one in ordered if one.kind == "poison"}
    results, at = [], 0
    while ordered:
        decision = ordered.popleft()
        place = next((row for row, offset in enumerate(records.offsets) if offset >= decision.offset), len(records))
        results += work.step(rows_of(records, slice(at, place)))
        results.append(work.obey(decision))
        at = max(at, place)
    results += work.step(rows_of(records, slice(at, None)))
    events = [msgspec.json.encode(event) for result in results for event in result.incidents]
    rejected = [(one.partition, one.offset) for result in results for one in result.rejected]
    return events, rejected + [(records.partition, one) for one in work.culprits], work


def judge(client, topic, prefix, folder):
    """Compare a round with its reference; returns what is lost, doubled, different, and whether states agree."""
    inputs = {}
    for records in read_all(client, topic):
        if records.partition in inputs:
            known = inputs[records.partition]
            for column in ("offsets", "times", "keys", "values"):
                getattr(known, column).extend(getattr(records, column))
        else:
            inputs[records.partition] = records
    decisions = [decision_of(value) for records in read_all(client, f"{prefix}.decisions") for value in records.values]
    bundles = Bundles(store_at(str(folder)))
    expected, expected_rejected, wrong_states = [], [], 0
    for partition, records in inputs.items():
        mine = [one for one in decisions if one.partition == partition]
        events, rejected, work = reference(records, mine, bundles)
        expected += events
        expected_rejected += rejected
        wrong_states += not _same_state(folder, work)
    found = [value for records in read_all(client, f"{prefix}.incidents") for value in records.values]
    headers = [dict(one) for one in _rejected_places(client, prefix)]
    found_rejected = Counter((int(one["partition"]), int(one["offset"])) for one in headers)
    silent = {event.data.entity.id for event in map(event_of, found) if event.data.track == "silence"}
    ids = Counter(event_of(value).id for value in found)
    wanted = {event_of(value).id: value for value in expected}
    got = {event_of(value).id: value for value in found}
    invented = len(got.keys() - wanted.keys())
    verdict = {
        "events": len(expected),
        "silent": len(silent - {"web-4"}),
        "lost": len(wanted.keys() - got.keys()) + sum((Counter(set(expected_rejected)) - found_rejected).values()),
        "doubled": sum(n - 1 for n in ids.values()) + sum(n - 1 for n in found_rejected.values()),
        "different": invented + sum(got[key] != wanted[key] for key in got.keys() & wanted.keys()),
        "states": wrong_states,
    }
    return Counter(verdict) + Counter(f"decided {one.kind}" for one in decisions)


def judge_rekeyed(client, topic, prefix, rows):
    """What rekey lost, doubled or made up: every sample that was sent stands once in the samples topic."""
    columns = (list(range(len(rows))), [row[3] for row in rows], [row[1] for row in rows], [row[2] for row in rows])
    sent, unreadable = _samples(Records("sent", 0, *columns))
    found = Counter()
    for records in read_all(client, topic):
        found += _samples(records)[0]
    rejected = len(_rejected_places(client, prefix))
    return Counter(
        lost=(sent - found).total() + max(0, unreadable - rejected),
        doubled=sum(found[one] - n for one, n in sent.items() if found[one] > n) + max(0, rejected - unreadable),
        different=sum(n for one, n in found.items() if one not in sent),
    )


def _samples(records):
    """Samples by what they are, with how often each is there, and how many records or parts could not be read."""
    catalog = Catalog()
    decoded = decode(records, catalog)
    out = Counter()
    for s, time_ns, value in zip(decoded.samples.series_id, decoded.samples.time, decoded.samples.value, strict=True):
        identity = catalog.identities[s]
        out[identity.entity, identity.name, int(time_ns), float(value)] += 1
    return out, len(decoded.rejected)


def judge_a_loss(client, prefix):
    """Where state cannot be had again: it is told for each partition, and still nothing is published twice."""
    found = [event_of(value) for records in read_all(client, f"{prefix}.incidents") for value in records.values]
    notices = [notice_of(value) for records in read_all(client, f"{prefix}.heartbeat") for value in records.values]
    told = {one.partition for one in notices if one.kind == "state.lost"}
    ids = Counter(event.id for event in found)
    return Counter(events=len(found), doubled=sum(n - 1 for n in ids.values()), untold=len({0, 1} - told))


def _same_state(folder, work):
    """Whether the last snapshot stands where the reference does, and holds the same to the last bit."""
    snapshots = Snapshots(store_at(str(folder)), 60)
    stream = work.stream
    found = snapshots.newest(Mark(stream.topic, stream.partition, work.life, work.at, work.sequence, 0))
    snapshots.close()
    if found is None or (found[0].offset, found[0].sequence) != (work.at, work.sequence):
        return False
    kept = PartitionStream.of_image(found[1], stream.topic, stream.partition, stream.bundle)
    return kept.digest() == stream.digest()


def _rejected_places(client, prefix):
    from kafka import KafkaConsumer, TopicPartition

    consumer = KafkaConsumer(**client, isolation_level="read_committed", enable_auto_commit=False)
    place = TopicPartition(f"{prefix}.rejected", 0)
    consumer.assign([place])
    consumer.seek_to_beginning(place)
    end, out = consumer.end_offsets([place])[place], []
    while consumer.position(place) < end:
        for records in consumer.poll(timeout_ms=200).values():
            out += [[(key, value.decode()) for key, value in record.headers] for record in records]
    consumer.close(autocommit=False)
    return out
