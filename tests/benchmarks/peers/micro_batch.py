"""A micro-batch as most teams write it: pandas rolling features of each series, one IsolationForest over all.

Tuned: batches of up to 5,000 records, features of the last 20 values of each series only, fitted on the first 20,000
rows and every 100,000 after, one thread.
"""

from collections import defaultdict, deque

import loop
import pandas as pd
from sklearn.ensemble import IsolationForest

past = defaultdict(lambda: deque(maxlen=20))
rows, state = [], {"model": None, "since": 0}


def features(samples):
    frame = pd.DataFrame({"series": [s for s, _ in samples], "value": [v for _, v in samples]})
    known = [(s, v) for s in frame["series"].unique() for v in past[s]]
    both = pd.concat([pd.DataFrame(known, columns=["series", "value"]), frame], ignore_index=True)
    rolling = both.groupby("series", sort=False)["value"].rolling(20, min_periods=1)
    made = rolling.agg(["mean", "std", "min", "max"]).reset_index(level=0, drop=True).sort_index()
    made["value"] = both["value"]
    for series, value in samples:
        past[series].append(value)
    return made.iloc[len(known) :].fillna(0.0).to_numpy()


def score(samples):
    found = features(samples)
    state["since"] += len(found)
    if state["model"] is None or state["since"] >= 100_000:
        rows.append(found)
        if state["model"] is not None or sum(map(len, rows)) >= 20_000:
            state["model"] = IsolationForest(n_estimators=100, random_state=0).fit(pd.DataFrame(found).to_numpy())
            state["since"] = 0
            rows.clear()
    return state["model"].score_samples(found) if state["model"] is not None else None


loop.run(score)
