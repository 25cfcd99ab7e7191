"""What the scenario and chaos tests stand on: a private PostgreSQL, gateways on free ports,
and a small HTTP client. Standard library and psycopg2 only; the fixtures are in
tests/conftest.py."""
