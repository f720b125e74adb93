"""quixstreams with a scikit-learn detector in the usual way: a stateful mean, and the model asked for each record.

Tuned: changelogs off (nothing is recovered), commits every five seconds, one thread, the forest fitted beforehand.
"""

import time

import loop
import numpy as np
from quixstreams import Application
from sklearn.ensemble import IsolationForest

bootstrap, topic, paced, n_backlog, n_paced, seconds = loop.arguments()
chance = np.random.default_rng(0)
model = IsolationForest(n_estimators=100, random_state=0).fit(50 + 10 * chance.normal(size=(5_000, 2)))
meter = loop.Meter(n_backlog, n_paced, seconds)
app = Application(
    broker_address=bootstrap,
    consumer_group=f"quix-{time.time_ns()}",
    auto_offset_reset="earliest",
    commit_interval=5.0,
    use_changelog_topics=False,
    state_dir=f"/tmp/quix-{time.time_ns()}",
    loglevel="ERROR",
)


def judge(row, key, timestamp, headers, state=None):
    if not (meter.in_backlog or row["paced"]):
        return row  # what is left of the backlog stands before the paced records: it only passes
    series = (row["entity"], row["metric"])
    mean = state.get(str(series)) if state else None
    mean = row["value"] if mean is None else mean + 0.05 * (row["value"] - mean)
    if state:
        state.set(str(series), mean)
    score = -float(model.score_samples([[row["value"], row["value"] - mean]])[0])
    if meter.in_backlog:
        meter.count(1, (series,))
    elif row["paced"] and meter.late(timestamp):
        app.stop()
    return {**row, "score": score}


def stateful(name, is_paced):
    frame = app.dataframe(app.topic(name, value_deserializer="json", key_deserializer="bytes"))
    frame = frame.apply(lambda row: {**row, "paced": is_paced})
    means = {}

    class Memory:
        get, set = staticmethod(means.get), staticmethod(means.__setitem__)

    return frame.apply(lambda row, key, timestamp, headers: judge(row, key, timestamp, headers, Memory), metadata=True)


stateful(topic, False)
stateful(paced, True)
app.run()
