-- What sensors say a device is called, and whose it is: for a calendar of devices, addresses alone are no help.
CREATE TABLE IF NOT EXISTS {database}.device_facts {on_cluster}
(
    device  String                  COMMENT 'MAC address without case and separators',
    fact    LowCardinality(String)  COMMENT 'What is said of the device: name or owner',
    sensor  LowCardinality(String)  COMMENT 'Name of the sensor that said it',
    value   String                  COMMENT 'What it said last',
    mac     String                  COMMENT 'MAC address of the device, as the sensor wrote it',
    said_at DateTime64(6, 'UTC')    COMMENT 'When it was said, event time, but no later than it was stored'
)
ENGINE = {replicated}ReplacingMergeTree(said_at)
ORDER BY (device, fact, sensor)
SETTINGS non_replicated_deduplication_window = {deduplication_window}
COMMENT 'The latest name and owner of each device by sensor; read devices';

-- The latest word wins whatever the order in which words come, and the same word again changes nothing: a replay is
-- harmless. A clock in the future counts as the moment of storing, or its word would be the last one for ever.
CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.device_facts_fill {on_cluster} TO {database}.device_facts
AS SELECT device, said.1 AS fact, sensor, said.2 AS value, mac, said_at
FROM
(
    SELECT
        replaceRegexpAll(lower(mac), '[-:.]', '') AS device,
        sensor,
        mac,
        least(time, ingested_at) AS said_at,
        arrayJoin([
            ('name', if(category = 'device', JSONExtractString(details, 'name'), JSONExtractString(details, 'client_name'))),
            ('owner', if(category = 'device', JSONExtractString(details, 'owner'), ''))
        ]) AS said
    FROM {database}.events
    WHERE notEmpty(mac)
)
WHERE said.2 != '';

-- What was said before there was this table.
INSERT INTO {database}.device_facts (device, fact, sensor, value, mac, said_at)
SELECT device, said.1 AS fact, sensor, said.2 AS value, mac, said_at
FROM
(
    SELECT
        replaceRegexpAll(lower(mac), '[-:.]', '') AS device,
        sensor,
        mac,
        least(time, ingested_at) AS said_at,
        arrayJoin([
            ('name', if(category = 'device', JSONExtractString(details, 'name'), JSONExtractString(details, 'client_name'))),
            ('owner', if(category = 'device', JSONExtractString(details, 'owner'), ''))
        ]) AS said
    FROM {database}.events
    WHERE notEmpty(mac)
)
WHERE said.2 != '';

CREATE OR REPLACE VIEW {database}.devices {on_cluster}
AS SELECT
    said.device AS device,
    argMax(said.mac, said.said_at) AS mac,
    argMaxIf(said.value, said.said_at, said.fact = 'name') AS name,
    argMaxIf(said.value, said.said_at, said.fact = 'owner') AS owner,
    max(said.said_at) AS said_at
FROM {database}.device_facts AS said FINAL
GROUP BY said.device
COMMENT 'One row per device that a sensor has named: the latest name and owner';
