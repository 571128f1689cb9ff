"""Tests of room 2, over real sockets."""
