"""The servers that come in wheels: the Tansu broker, and ClickHouse out of chDB."""
