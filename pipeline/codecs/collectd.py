"""What collectd's names mean, whatever the encoding: ``plugin-instance/type-instance`` and which types count up."""

from __future__ import annotations

__all__ = ["MOST_SOURCES", "RISING_TYPES", "metric_of"]

MOST_SOURCES = 256  # values of one value list; real types have below twenty

# Types of types.db whose data sources count up (DERIVE or COUNTER), of the plugins that are in common use.
RISING_TYPES = frozenset(
    """
    arc_counts cache_operation compression connections contextswitch cpu derive disk_io_time disk_merged
    disk_octets disk_ops disk_ops_complex disk_time dns_octets fork_rate http_requests if_collisions if_dropped
    if_errors if_multicast if_octets if_packets if_rx_errors if_rx_octets if_tx_errors if_tx_octets invocations
    io_octets io_ops io_packets ipt_bytes ipt_packets irq mysql_commands mysql_handler mysql_octets nfs_procedure
    node_octets operations pg_blks pg_n_tup_c pg_xact protocol_counter ps_cputime ps_disk_octets ps_disk_ops
    ps_pagefaults swap_io total_bytes total_connections total_operations total_requests vmpage_action
    vmpage_faults vmpage_io volatile_changes
    """.split()
)


def metric_of(plugin: str, plugin_instance: str, type_name: str, type_instance: str, source: str) -> str:
    """Name as collectd writes it; the data source is told where the type has more than the one called value."""
    left = f"{plugin}-{plugin_instance}" if plugin_instance else plugin
    right = f"{type_name}-{type_instance}" if type_instance else type_name
    return f"{left}/{right}:{source}" if source and source != "value" else f"{left}/{right}"
