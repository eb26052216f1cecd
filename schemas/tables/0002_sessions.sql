-- Versions of sessions; the highest revision of (sensor, session_id) wins. No partitions: a start can be corrected.
-- Sessions are looked up by their keys more than they are read in order: small granules (docs/decisions/0015).
CREATE TABLE IF NOT EXISTS {database}.sessions {on_cluster}
(
    session_id       String                          COMMENT 'The sensor''s own id, else made of the session key and its opening',
    sensor           LowCardinality(String)          COMMENT 'Name of the sensor that saw it',
    key              String                          COMMENT 'Session key, JSON text: what its connection records are partitioned by',
    state            LowCardinality(String)          COMMENT 'open or closed',
    end_reason       LowCardinality(String)          COMMENT 'Why it is closed: disconnect, complete, idle_timeout, superseded, sensor_restart, max_duration, evicted, orphan',
    started_at       Nullable(DateTime64(6, 'UTC'))  COMMENT 'Start, null when none was seen',
    ended_at         Nullable(DateTime64(6, 'UTC'))  COMMENT 'End, null while open',
    last_activity_at DateTime64(6, 'UTC')            COMMENT 'Event time of the latest sign of life',
    duration         Nullable(Float64)               COMMENT 'Seconds from start to end, null when unknown',
    duration_quality LowCardinality(String)          COMMENT 'exact: both ends seen; lower_bound: closed without a disconnect; unknown',
    protocol         LowCardinality(String)          COMMENT 'ssh, telnet, http, tcp …, lower case',
    client_ip        String                          COMMENT 'Who connected',
    client_port      UInt16                          COMMENT 'Port of who connected, 0 when unknown',
    client_name      String                          COMMENT 'Host name of who connected',
    server_ip        String                          COMMENT 'The sensor''s own side of the connection',
    server_port      UInt16                          COMMENT 'Port of the sensor''s own side, 0 when unknown',
    server_name      String                          COMMENT 'Host name of the sensor''s own side',
    mac              String                          COMMENT 'MAC address of a device, as the sensor wrote it',
    user             String                          COMMENT 'User name of the last login that succeeded, else of the last tried',
    user_id          String                          COMMENT 'Id of the user, where the sensor knows it',
    server_user      String                          COMMENT 'User name on the remote server, where it differs',
    user_seen_at     Nullable(DateTime64(6, 'UTC'))  COMMENT 'Event time of the login the user name comes from',
    token            LowCardinality(String)          COMMENT 'Instance of the sensor',
    location         LowCardinality(String)          COMMENT 'Where the sensor stands',
    category         LowCardinality(String)          COMMENT 'Group of events',
    container_id     String                          COMMENT 'Container that served the client',
    connect_kind     LowCardinality(String)          COMMENT 'Label of the opening, e.g. Connected, <missing event>',
    disconnect_kind  LowCardinality(String)          COMMENT 'Label of the closing, e.g. Disconnected, <missing event>',
    event_count      UInt64                          COMMENT 'Stored events of the session, connect and close included',
    revision         UInt64                          COMMENT 'Decides which version wins; never goes back',
    version          UInt64                          COMMENT 'Records applied so far',
    created_at       DateTime64(6, 'UTC')            COMMENT 'Broker time of the opening record',
    modified_at      DateTime64(6, 'UTC')            COMMENT 'Broker time of the last record applied',
    removed          Bool                            COMMENT 'Hidden from sessions_current',
    held             Bool                            COMMENT 'An end that waits for its opening; hidden until grace is over',
    opened_by        String                          COMMENT 'record_id of the opening record',
    closed_by        String                          COMMENT 'record_id of the closing record',
    boot_id          String                          COMMENT 'Life of the sensor the session began in',
    flags            Array(LowCardinality(String))   COMMENT 'What was doubtful, e.g. clock_skew',
    attributes       Map(LowCardinality(String), String) COMMENT 'Late facts and tags',
    positions        Map(String, UInt64)             COMMENT 'Per source partition, the last position counted into event_count',
    ingested_at      DateTime64(3, 'UTC')            COMMENT 'When the block with this row was made',
    page_time        DateTime64(6, 'UTC') MATERIALIZED coalesce(started_at, ended_at, last_activity_at) COMMENT 'What pages are ordered by: start, else end',
    INDEX page page_time TYPE minmax GRANULARITY 1,
    INDEX by_key key TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX client client_ip TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX still_open state TYPE set(4) GRANULARITY 1
)
ENGINE = {replicated}ReplacingMergeTree(revision)
ORDER BY (sensor, session_id)
TTL toDateTime(modified_at) + INTERVAL {sessions_ttl_days} DAY
SETTINGS non_replicated_deduplication_window = {deduplication_window}, index_granularity = 1024
COMMENT 'Versions of sessions; read sessions_current or sessions_all';
