-- A session that an API locked stays until it is unlocked; the days of all others count from their last change.
-- A version in which it was locked goes when it is merged with a later one, as every earlier version does; that is long
-- before the later one is old. What is stored already is worked through in the background.
ALTER TABLE {database}.sessions {on_cluster}
    MODIFY TTL toDateTime(modified_at) + INTERVAL {sessions_ttl_days} DAY DELETE WHERE NOT retention_locked
    SETTINGS alter_sync = 0;
