-- Addresses and names are compared without case (SPS): the expression that is compared has the index.
ALTER TABLE {database}.sessions {on_cluster}
    ADD INDEX IF NOT EXISTS lower_client lower(client_ip) TYPE bloom_filter(0.01) GRANULARITY 4,
    ADD INDEX IF NOT EXISTS lower_server lower(server_ip) TYPE bloom_filter(0.01) GRANULARITY 4,
    ADD INDEX IF NOT EXISTS lower_user lowerUTF8(user) TYPE bloom_filter(0.01) GRANULARITY 4;

ALTER TABLE {database}.sessions {on_cluster} MATERIALIZE INDEX lower_client;

ALTER TABLE {database}.sessions {on_cluster} MATERIALIZE INDEX lower_server;

ALTER TABLE {database}.sessions {on_cluster} MATERIALIZE INDEX lower_user;
