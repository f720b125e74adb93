"""The bare loop: kafka-python polls a topic and decodes nothing.  usage: bare.py BOOTSTRAP TOPIC N_RECORDS"""

import sys
import time

from kafka import KafkaConsumer, TopicPartition

FROM, UNTIL = 0.15, 0.95

bootstrap, topic, wanted = sys.argv[1], sys.argv[2], int(sys.argv[3])
consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest")
consumer.assign([TopicPartition(topic, 0)])
seen, first, began = 0, 0, 0.0
while seen < UNTIL * wanted:
    for records in consumer.poll(timeout_ms=1_000, max_records=5_000).values():
        seen += len(records)
    if not began and seen >= FROM * wanted:
        first, began = seen, time.perf_counter()
print((seen - first) / (time.perf_counter() - began))
consumer.close(autocommit=False)
