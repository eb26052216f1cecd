"""Consumer groups, as Kafka knows them."""

WORKER = "sojourn-worker"
SINK = "sojourn-sink"
BACKUP = "sojourn-backup"
