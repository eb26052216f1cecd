-- What analysts and the API read: one row per session.
CREATE OR REPLACE VIEW {database}.sessions_all {on_cluster}
AS SELECT * FROM {database}.sessions FINAL
COMMENT 'One row per session, removed and held ones too';

CREATE OR REPLACE VIEW {database}.sessions_current {on_cluster}
AS SELECT * FROM {database}.sessions FINAL WHERE NOT removed AND NOT held
COMMENT 'One row per session, as it stands now';
