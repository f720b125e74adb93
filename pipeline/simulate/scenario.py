"""What happens to a fleet in a stretch of time: one fault of every kind, and two deploys, each at a host of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.simulate.faults import FAULTS, INNOCENT, Injection
from pipeline.simulate.fleet import Fleet, role_of

__all__ = ["scenario"]

N_DEPLOYS = 2
LONGEST_SHARE = 0.2
LEAST_STEPS = 10


def scenario(
    fleet: Fleet, first_ms: int, n_steps: int, kinds: Sequence[str] = tuple(FAULTS), turn: int = 0
) -> list[Injection]:
    """Spread faults over ``n_steps`` steps from ``first_ms`` on; equal arguments give equal faults.

    Parameters
    ----------
    fleet
        Whose hosts are hit; its seed decides the order of the faults and the moments.
    first_ms, n_steps
        The stretch. In a short one faults last shorter, so that each fits in.
    kinds
        Which faults; those whose metric the fleet does not measure are left out.
    turn
        Of several scenarios one after the other, so that they differ.
    """
    rng = np.random.default_rng((fleet.seed, turn))
    wanted = [kind for kind in kinds if FAULTS[kind].metric in ("", *fleet.metrics)]
    wanted += [INNOCENT] * (N_DEPLOYS - 1) if INNOCENT in wanted else []
    order = [wanted[i] for i in rng.permutation(len(wanted))]
    hosts = _hosts(order, [fleet.hosts[i] for i in rng.permutation(fleet.n_hosts)])
    slot = n_steps / max(1, len(order))
    found = []
    for i, (kind, host) in enumerate(zip(order, hosts, strict=True)):
        length = round(min(FAULTS[kind].minutes * 60_000 / fleet.step_ms, LONGEST_SHARE * n_steps))
        length = max(length, min(LEAST_STEPS, n_steps))
        begin = min(round((i + rng.uniform(0.05, 0.45)) * slot), n_steps - length)
        start_ms = (first_ms // fleet.step_ms + begin) * fleet.step_ms
        found.append(Injection(kind, host, start_ms, start_ms + length * fleet.step_ms))
    return sorted(found, key=lambda one: (one.start_ms, one.host))


def _hosts(kinds: Sequence[str], hosts: list[str]) -> list[str]:
    """Give each fault a host that has none yet, of the fault's own role if it has one; such faults choose first."""
    free, found = list(hosts), [""] * len(kinds)
    for i in sorted(range(len(kinds)), key=lambda i: not FAULTS[kinds[i]].role):
        free = free or list(hosts)
        found[i] = next((one for one in free if role_of(one) == FAULTS[kinds[i]].role), free[0])
        free.remove(found[i])
    return found
