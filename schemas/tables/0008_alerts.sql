-- Rules of the setting sink.alerts that an event met when it was stored; rules that come later change nothing.
ALTER TABLE {database}.events {on_cluster}
    ADD COLUMN IF NOT EXISTS alerts Array(Tuple(rule String, regex String)) COMMENT 'Rules whose regex was found in the content when the event was stored';
