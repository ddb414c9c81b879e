"""The publication as data: tables, quotes, claims, errata and settings."""
