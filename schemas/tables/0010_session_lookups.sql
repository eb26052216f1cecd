-- A session by its id alone, and sessions by the names of their attributes: marks of backups are such.
ALTER TABLE {database}.sessions {on_cluster}
    ADD INDEX IF NOT EXISTS by_session_id session_id TYPE bloom_filter(0.01) GRANULARITY 1,
    ADD INDEX IF NOT EXISTS attribute_names mapKeys(attributes) TYPE bloom_filter(0.01) GRANULARITY 4;

ALTER TABLE {database}.sessions {on_cluster} MATERIALIZE INDEX by_session_id;

ALTER TABLE {database}.sessions {on_cluster} MATERIALIZE INDEX attribute_names;
