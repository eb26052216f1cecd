-- Every record of every sensor, once. Identity: (_epoch, _topic, _partition, _offset, _index).
CREATE TABLE IF NOT EXISTS {database}.events {on_cluster}
(
    sensor       LowCardinality(String)             COMMENT 'Name of the sensor that saw it',
    time         DateTime64(6, 'UTC')               COMMENT 'When it happened, event time',
    kind         LowCardinality(String)             COMMENT 'What it is: connect, close, command, login.failed …',
    type         Int32                              COMMENT 'Integer code of the kind as Honeytrap numbers it, 0 when it has none',
    started      Nullable(DateTime64(6, 'UTC'))     COMMENT 'Start of what lasted, where the sensor says it',
    ended        Nullable(DateTime64(6, 'UTC'))     COMMENT 'End of what lasted, where the sensor says it',
    session_id   String                             COMMENT 'The sensor''s own id of the session it belongs to',
    token        LowCardinality(String)             COMMENT 'Instance of the sensor',
    location     LowCardinality(String)             COMMENT 'Where the sensor stands',
    category     LowCardinality(String)             COMMENT 'Group of events',
    protocol     LowCardinality(String)             COMMENT 'ssh, telnet, http, tcp …, lower case',
    client_ip    String                             COMMENT 'Who connected',
    client_port  UInt16                             COMMENT 'Port of who connected, 0 when unknown',
    server_ip    String                             COMMENT 'The sensor''s own side of the connection',
    server_port  UInt16                             COMMENT 'Port of the sensor''s own side, 0 when unknown',
    mac          String                             COMMENT 'MAC address of a device, as the sensor wrote it',
    user         String                             COMMENT 'User name that was tried or used',
    data         String        CODEC(ZSTD(1))       COMMENT 'The command or message, as a person reads it',
    content      String        CODEC(ZSTD(1))       COMMENT 'What happened with its context, e.g. a command with its prompt',
    action       String        CODEC(ZSTD(1))       COMMENT 'The command line without its prompt',
    channel_id   LowCardinality(String)             COMMENT 'Channel of the session it happened in',
    container_id String                             COMMENT 'Container that served the client',
    record_id    String        CODEC(ZSTD(1))       COMMENT 'Deterministic id of the record; its source position by default',
    details      String        CODEC(ZSTD(1))       COMMENT 'JSON text of everything else the sensor sent; read it with JSONExtract functions',
    flags        Array(LowCardinality(String))      COMMENT 'What Sojourn changed or doubts, e.g. time_replaced',
    ingested_at  DateTime64(3, 'UTC')               COMMENT 'When the block with this row was made',
    _epoch       LowCardinality(String)             COMMENT 'Which life of the topic''s log the position belongs to',
    _topic       LowCardinality(String)             COMMENT 'Kafka topic the record was read from',
    _partition   UInt32                             COMMENT 'Kafka partition the record was read from',
    _offset      UInt64        CODEC(Delta, ZSTD(1)) COMMENT 'Kafka offset of the message the record came in',
    _index       UInt16                             COMMENT 'Position in the decoder''s output for that message',
    INDEX position (_offset, _partition, _topic, _epoch) TYPE minmax GRANULARITY 1,
    INDEX time_range time TYPE minmax GRANULARITY 1,
    INDEX session session_id TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX client client_ip TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX by_record_id record_id TYPE bloom_filter(0.01) GRANULARITY 4
)
ENGINE = {replicated}MergeTree
PARTITION BY toYYYYMM(ingested_at)
ORDER BY (sensor, time, _epoch, _topic, _partition, _offset, _index)
TTL toDateTime(ingested_at) + INTERVAL {events_ttl_days} DAY
SETTINGS non_replicated_deduplication_window = {deduplication_window}
COMMENT 'Every record of every sensor, exactly once';
