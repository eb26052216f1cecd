-- Who may insert for a source partition: the highest owner wins, a former owner's inserts are refused.
CREATE TABLE IF NOT EXISTS {database}.sink_owners {on_cluster}
(
    epoch     LowCardinality(String) COMMENT 'Which life of the topic''s log',
    topic     LowCardinality(String) COMMENT 'Kafka topic',
    partition UInt32                 COMMENT 'Kafka partition',
    owner     UInt64                 COMMENT 'One more than the owner before',
    since     DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'When it took over'
)
ENGINE = {replicated}MergeTree
ORDER BY (topic, partition, epoch, owner)
TTL toDateTime(since) + INTERVAL 30 DAY
COMMENT 'Fencing of the sink: who may insert for a source partition';
