"""Measurements against peers, each in an environment of its own: ``nox -s bench -- TOPIC``."""
