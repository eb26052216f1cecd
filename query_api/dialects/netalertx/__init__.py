"""NetAlertX's API of sessions (netalertx-sessions-api.txt), in the form of its document."""
