"""The input of a round: six hosts on two partitions, with faults, silence, late data and what is no telemetry."""

import json
import random

N_HOSTS, N_STEPS = 6, 300


def records(seed, start_ms, step_ms=10_000, share_late=0.01):
    """(partition, key, value, record time in ms) in the order of sending, each partition's own order fixed."""
    chance = random.Random(seed)
    out = []
    for i in range(N_STEPS):
        now = start_ms + i * step_ms
        for host in range(N_HOSTS):
            name = f"web-{host}"
            if host == 4 and 120 <= i < 200:
                continue
            ill = (host == 1 and 100 <= i < 130) or (host == 2 and 220 <= i < 250) or (host == 3 and i >= 270)
            at = now - chance.randint(1, 6) * step_ms if chance.random() < share_late else now
            rows = [
                {"timestamp": at, "entity": name, "metric": "load", "value": 50 + 5 * chance.gauss(0, 1) + 200 * ill},
                {"timestamp": at, "entity": name, "metric": "memory", "value": 70 + chance.gauss(0, 1) + 25 * ill},
            ]
            if chance.random() < 0.005:
                rows.append({"timestamp": at, "entity": name, "metric": "", "value": 1})
            out.append((host % 2, name.encode(), json.dumps(rows).encode(), now))
        if chance.random() < 0.03:
            out.append((i % 2, None, b"\xffno telemetry", now))
    return out
