"""Supervision, lifecycle, channels, status, events: what every component stands on."""
