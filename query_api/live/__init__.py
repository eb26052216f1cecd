"""What happens now: one reader of Kafka for all clients of this process, and what each of them gets of it."""
