-- What an API sets in a session, and by which requests; a device's sessions are found by its address.
ALTER TABLE {database}.sessions {on_cluster}
    ADD COLUMN IF NOT EXISTS paused Bool COMMENT 'Set by an API',
    ADD COLUMN IF NOT EXISTS retention_locked Bool COMMENT 'Set by an API: not to be deleted',
    ADD COLUMN IF NOT EXISTS terminate_at Nullable(DateTime64(6, 'UTC')) COMMENT 'Set by an API: when it is to be ended',
    ADD COLUMN IF NOT EXISTS reason String COMMENT 'Set by an API: why it ended or is to end',
    ADD COLUMN IF NOT EXISTS requests Array(String) COMMENT 'record_ids of the last requests of an API that changed it',
    ADD INDEX IF NOT EXISTS device replaceRegexpAll(lower(mac), '[-:.]', '') TYPE bloom_filter(0.01) GRANULARITY 4;

-- A view keeps the columns it was made with.
CREATE OR REPLACE VIEW {database}.sessions_all {on_cluster}
AS SELECT * FROM {database}.sessions FINAL
COMMENT 'One row per session, removed and held ones too';

CREATE OR REPLACE VIEW {database}.sessions_current {on_cluster}
AS SELECT * FROM {database}.sessions FINAL WHERE NOT removed AND NOT held
COMMENT 'One row per session, as it stands now';
