"""The protobuf messages of Prometheus remote write 1.0 and 2.0, described here because no package brings them.

The two versions share no field number: one message reads both.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import (  # type: ignore[import-untyped]
    descriptor_pb2,
    descriptor_pool,
    message_factory,
)

__all__ = ["METRIC_TYPES", "WriteRequest"]

# By number, in both versions.
METRIC_TYPES = ("", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset")

_PACKAGE = "foreshock.remotewrite"
_SCALARS = {"double": 1, "int64": 3, "uint64": 4, "int32": 5, "string": 9, "uint32": 13, "sint32": 17, "sint64": 18}
_SINGLE, _REPEATED, _MESSAGE = 1, 3, 11
# message -> (field, number, type); a type that ends in * is repeated, one that begins with ~ shares the oneof "_count".
_FIELDS: dict[str, tuple[tuple[str, int, str], ...]] = {
    "Label": (("name", 1, "string"), ("value", 2, "string")),
    "Sample": (("value", 1, "double"), ("timestamp", 2, "int64"), ("start_timestamp", 3, "int64")),
    "BucketSpan": (("offset", 1, "sint32"), ("length", 2, "uint32")),
    "Histogram": (
        ("count_int", 1, "~uint64"),
        ("count_float", 2, "~double"),
        ("sum", 3, "double"),
        ("schema", 4, "sint32"),
        ("zero_threshold", 5, "double"),
        ("zero_count_int", 6, "uint64"),
        ("zero_count_float", 7, "double"),
        ("negative_spans", 8, "BucketSpan*"),
        ("negative_deltas", 9, "sint64*"),
        ("negative_counts", 10, "double*"),
        ("positive_spans", 11, "BucketSpan*"),
        ("positive_deltas", 12, "sint64*"),
        ("positive_counts", 13, "double*"),
        ("reset_hint", 14, "int32"),
        ("timestamp", 15, "int64"),
        ("custom_values", 16, "double*"),
        ("start_timestamp", 17, "int64"),
    ),
    "Metadata1": (("type", 1, "int32"), ("family", 2, "string"), ("help", 4, "string"), ("unit", 5, "string")),
    "Metadata2": (("type", 1, "int32"), ("help_ref", 3, "uint32"), ("unit_ref", 4, "uint32")),
    "Series1": (("labels", 1, "Label*"), ("samples", 2, "Sample*"), ("histograms", 4, "Histogram*")),
    "Series2": (
        ("label_refs", 1, "uint32*"),
        ("samples", 2, "Sample*"),
        ("histograms", 3, "Histogram*"),
        ("metadata", 5, "Metadata2"),
        ("created_timestamp", 6, "int64"),
    ),
    "WriteRequest": (
        ("series1", 1, "Series1*"),
        ("metadata", 3, "Metadata1*"),
        ("symbols", 4, "string*"),
        ("series2", 5, "Series2*"),
    ),
}


def _described() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="foreshock/remotewrite.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _FIELDS.items():
        message = file.message_type.add(name=name)
        for field, number, type_name in fields:
            label = _REPEATED if type_name.endswith("*") else _SINGLE
            described = message.field.add(name=field, number=number, label=label)
            plain = type_name.strip("~*")
            if plain in _SCALARS:
                described.type = _SCALARS[plain]
            else:
                described.type, described.type_name = _MESSAGE, f".{_PACKAGE}.{plain}"
            if type_name.startswith("~"):
                if not message.oneof_decl:
                    message.oneof_decl.add(name="_count")
                described.oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.WriteRequest"))


WriteRequest: Any = _described()
