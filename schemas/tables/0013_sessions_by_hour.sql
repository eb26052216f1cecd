-- When the server stored a version: what the roll-up below has not counted yet. A version that waited for an outage has
-- an older ingested_at. Rows from before this column have none.
ALTER TABLE {database}.sessions {on_cluster}
    ADD COLUMN IF NOT EXISTS stored_at DateTime64(3, 'UTC') COMMENT 'When the server stored this version, 1970 where that is not known';

ALTER TABLE {database}.sessions {on_cluster}
    ADD INDEX IF NOT EXISTS stored stored_at TYPE minmax GRANULARITY 1;

-- Sessions per hour: recomputed, because a session is corrected; adding up its versions would count it again and again.
CREATE TABLE IF NOT EXISTS {database}.sessions_by_hour {on_cluster}
(
    hour        DateTime('UTC')         COMMENT 'Hour of event time',
    sensor      LowCardinality(String)  COMMENT 'Name of the sensor',
    protocol    LowCardinality(String)  COMMENT 'ssh, telnet, http, tcp …, lower case',
    opened      UInt64                  COMMENT 'Sessions that began in this hour',
    closed      UInt64                  COMMENT 'Sessions that ended in this hour',
    seconds     Float64                 COMMENT 'Sum of the durations of those that ended, as far as known',
    computed_at DateTime64(3, 'UTC')    COMMENT 'When it was counted; the latest count of an hour is the one'
)
ENGINE = {replicated}ReplacingMergeTree(computed_at)
ORDER BY (hour, sensor, protocol)
COMMENT 'Sessions per hour, sensor and protocol, at most a minute old; read it with FINAL';

-- Counts the hours of all versions that were stored since the last count, and in the minute before it: an insert takes
-- some time. Once a day the last week again: an opening that moved to another hour leaves nothing in the old one to tell.
-- The sessions of these hours first, by any of their versions; FINAL then reads only those, not the whole table.
CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.sessions_by_hour_fill {on_cluster}
REFRESH EVERY 30 SECOND APPEND TO {database}.sessions_by_hour
AS WITH
    touched AS
    (
        SELECT DISTINCT arrayJoin([toStartOfHour(started_at), toStartOfHour(ended_at)]) AS hour
        FROM {database}.sessions
        WHERE stored_at >= (SELECT max(computed_at) FROM {database}.sessions_by_hour) - INTERVAL 1 MINUTE
        UNION ALL
        SELECT toStartOfHour(now('UTC')) - toIntervalHour(number) AS hour FROM numbers(168)
        WHERE formatDateTime(now('UTC'), '%H:%i') = '03:00'
    )
SELECT hour, sensor, protocol, sum(opens) AS opened, sum(closes) AS closed, sum(lasted) AS seconds, now64(3) AS computed_at
FROM
(
    SELECT
        assumeNotNull(toDateTime(toStartOfHour(if(end, ended_at, started_at)), 'UTC')) AS hour,
        sensor,
        protocol,
        toUInt64(NOT end) AS opens,
        toUInt64(end) AS closes,
        if(end, ifNull(duration, 0.), 0.) AS lasted
    FROM {database}.sessions FINAL
    ARRAY JOIN [false, true] AS end
    WHERE (sensor, session_id) IN
    (
        SELECT sensor, session_id FROM {database}.sessions
        WHERE toStartOfHour(started_at) IN (SELECT hour FROM touched) OR toStartOfHour(ended_at) IN (SELECT hour FROM touched)
    )
    AND NOT removed AND NOT held
    AND isNotNull(if(end, ended_at, started_at))
    AND toStartOfHour(if(end, ended_at, started_at)) IN (SELECT hour FROM touched)
    UNION ALL
    -- What nothing is left of becomes 0.
    SELECT hour, sensor, protocol, toUInt64(0), toUInt64(0), 0. FROM {database}.sessions_by_hour
    WHERE hour IN (SELECT hour FROM touched)
)
GROUP BY hour, sensor, protocol;
