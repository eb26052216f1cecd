-- What sessions are made of, kept with the event: sojourn reconcile makes them once more.
ALTER TABLE {database}.events {on_cluster}
    ADD COLUMN IF NOT EXISTS connection String CODEC(ZSTD(1)) COMMENT 'The connection record it is, JSON; alone for an event of no session; empty for activity';
