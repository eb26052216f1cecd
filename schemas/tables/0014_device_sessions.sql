-- Sessions of devices are few among many: NetAlertX's lists pass over the granules that have none.
ALTER TABLE {database}.sessions {on_cluster}
    ADD INDEX IF NOT EXISTS of_devices notEmpty(mac) TYPE set(2) GRANULARITY 1;

ALTER TABLE {database}.sessions {on_cluster} MATERIALIZE INDEX of_devices;
