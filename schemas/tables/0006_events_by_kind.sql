-- Counts for filters on sensor, kind and type: exact like the table itself, read instead of it by count() alone.
ALTER TABLE {database}.events {on_cluster}
    ADD PROJECTION IF NOT EXISTS by_kind (SELECT sensor, kind, type, count() GROUP BY sensor, kind, type);

-- A lightweight DELETE is refused on a table with projections unless it says what becomes of them.
ALTER TABLE {database}.events {on_cluster} MODIFY SETTING lightweight_mutation_projection_mode = 'rebuild';

ALTER TABLE {database}.events {on_cluster} MATERIALIZE PROJECTION by_kind;
