"""Fudo's API v2 of sessions (reference: fudo-v2-sessions.txt, fudo-facts)."""
