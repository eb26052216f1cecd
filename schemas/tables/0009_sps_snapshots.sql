-- Lists of sessions that clients of SPS page through; the query API's own, written by its user api_writer.
CREATE TABLE IF NOT EXISTS {database}.sps_snapshots {on_cluster}
(
    user     String               COMMENT 'Who asked for it',
    snapshot String               COMMENT 'Its id',
    bound_to String               COMMENT 'Hash of the user, address and User-Agent that it is for',
    asked    String               COMMENT 'What chose its sessions, JSON text',
    filled   Bool                 COMMENT 'Whether its sessions are chosen',
    sessions UInt64               COMMENT 'How many they are',
    touched  DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'Last use; it ends five minutes later'
)
ENGINE = {replicated}ReplacingMergeTree(touched)
ORDER BY (user, snapshot)
TTL toDateTime(touched) + INTERVAL 1 DAY
COMMENT 'Snapshots of the SPS dialect';

-- A part for each: dropped whole when it has ended.
CREATE TABLE IF NOT EXISTS {database}.sps_snapshot_keys {on_cluster}
(
    snapshot   String                COMMENT 'Its id',
    n          UInt64                COMMENT 'Place in the list, from 1',
    sensor     LowCardinality(String) COMMENT 'Name of the session''s sensor',
    session_id String                COMMENT 'Id of the session',
    made       DateTime64(3, 'UTC')  DEFAULT now64(3) COMMENT 'When they were chosen'
)
ENGINE = {replicated}MergeTree
PARTITION BY snapshot
ORDER BY n
TTL toDateTime(made) + INTERVAL 1 DAY
SETTINGS non_replicated_deduplication_window = 100
COMMENT 'Sessions of each snapshot, in order';
