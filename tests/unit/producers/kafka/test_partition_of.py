import random

from aiokafka.partitioner import murmur2 as slow_murmur2

from producers.kafka.publisher import murmur2, partition_of


def test_keys_hash_as_in_every_other_kafka_client() -> None:
    source = random.Random(1)
    for length in [*range(16), 100, 1000]:
        key = source.randbytes(length)
        assert murmur2(key) == slow_murmur2(key)


def test_the_published_vectors_of_the_java_client_hold() -> None:
    # org.apache.kafka.common.utils.UtilsTest, as signed integers there.
    for key, expected in {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536}.items():
        assert murmur2(key) == expected & 0xFFFFFFFF


def test_a_partition_is_within_the_topic() -> None:
    assert {partition_of(str(n).encode(), 4) for n in range(100)} == {0, 1, 2, 3}
