"""Everything that talks to Kafka: the one publisher, the one consumer, epochs, and the check for holes."""
