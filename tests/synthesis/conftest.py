"""A server that misbehaves as it is asked to, for the tests of generated queries."""

from tests.llm.conftest import replies, start

__all__ = ["replies", "start"]
