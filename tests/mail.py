"""A mail server on this machine, and what it got."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller

from tools.cluster.services import free_port


class Mailbox:
    """The messages that came, in order."""

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """Take a message."""
        self.messages.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 OK"

    def last(self) -> tuple[str, str]:
        """Subject and text of the last one."""
        message = self.messages[-1]
        part = message.get_body(("html", "plain")) or message
        return str(message["subject"]), str(part.get_content()).rstrip()


@contextmanager
def mail_server() -> Iterator[tuple[Mailbox, str]]:
    """A server while a ``with`` lasts: its mailbox, and Airflow's connection to it as JSON."""
    mailbox = Mailbox()
    controller = Controller(mailbox, hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        extra = {"disable_ssl": True, "disable_tls": True}
        connection = {"conn_type": "smtp", "host": "127.0.0.1", "port": controller.port, "extra": extra}
        yield mailbox, json.dumps(connection)
    finally:
        controller.stop()
