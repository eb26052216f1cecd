-- Where the events of a count came from. A server that ends between storing events and counting them leaves them
-- uncounted; whoever owns their partition then can count its hours anew while others go on inserting theirs.
ALTER TABLE {database}.events_by_hour {on_cluster}
    ADD COLUMN IF NOT EXISTS _epoch LowCardinality(String) COMMENT 'Which life of the topic''s log the events came from; empty for what was counted before there was this column',
    ADD COLUMN IF NOT EXISTS _topic LowCardinality(String) COMMENT 'Kafka topic the events were read from',
    ADD COLUMN IF NOT EXISTS _partition UInt32 COMMENT 'Kafka partition the events were read from',
    MODIFY ORDER BY (hour, sensor, kind, _epoch, _topic, _partition);

ALTER TABLE {database}.events_by_hour_fill {on_cluster} MODIFY QUERY
SELECT toStartOfHour(toDateTime(time, 'UTC')) AS hour, sensor, kind, _epoch, _topic, _partition, count() AS events
FROM {database}.events
GROUP BY hour, sensor, kind, _epoch, _topic, _partition;

-- What was counted before goes from nowhere to its places; the sums stay as they are. A negative count wraps around, and
-- the sum with it wraps back.
INSERT INTO {database}.events_by_hour (hour, sensor, kind, _epoch, _topic, _partition, events)
SELECT hour, sensor, kind, moved.1 AS _epoch, moved.2 AS _topic, moved.3 AS _partition, toUInt64(moved.4) AS events
FROM
(
    SELECT hour, sensor, kind, arrayJoin([(_epoch, _topic, _partition, uncounted), ('', '', 0, -uncounted)]) AS moved
    FROM
    (
        SELECT hour, sensor, kind, _epoch, _topic, _partition, sum(difference) AS uncounted
        FROM
        (
            SELECT
                toStartOfHour(toDateTime(time, 'UTC')) AS hour, sensor, kind,
                toString(_epoch) AS _epoch, toString(_topic) AS _topic, _partition, toInt64(count()) AS difference
            FROM {database}.events
            GROUP BY ALL
            UNION ALL
            SELECT
                hour, sensor, kind,
                toString(_epoch) AS _epoch, toString(_topic) AS _topic, _partition, -toInt64(sum(events)) AS difference
            FROM {database}.events_by_hour
            WHERE notEmpty(_epoch)
            GROUP BY ALL
        )
        GROUP BY ALL
        HAVING uncounted != 0
    )
);
