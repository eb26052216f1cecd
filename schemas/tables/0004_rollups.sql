-- Events per hour: incremental, because events are append-only and exactly once.
CREATE TABLE IF NOT EXISTS {database}.events_by_hour {on_cluster}
(
    hour   DateTime('UTC')        COMMENT 'Hour of event time',
    sensor LowCardinality(String) COMMENT 'Name of the sensor',
    kind   LowCardinality(String) COMMENT 'Kind of event',
    events UInt64                 COMMENT 'How many; sum it, rows of one hour may not be merged yet'
)
ENGINE = {replicated}SummingMergeTree(events)
ORDER BY (hour, sensor, kind)
SETTINGS non_replicated_deduplication_window = {deduplication_window}
COMMENT 'Events per hour, sensor and kind';

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.events_by_hour_fill {on_cluster} TO {database}.events_by_hour
AS SELECT toStartOfHour(toDateTime(time, 'UTC')) AS hour, sensor, kind, count() AS events
FROM {database}.events
GROUP BY hour, sensor, kind;
