"""What ``sojourn produce`` reads: files of every kind, standard input, systemd's journal; once, or followed."""
