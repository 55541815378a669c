"""send email: hands a SEND_EMAIL message to the mail server that the node names (spec §3.6)."""

from __future__ import annotations

from typing import Literal

import trio

from appliance.model.message import Message
from appliance.rules.context import Context
from appliance.rules.messages import with_metadata
from appliance.rules.node import (
    PACKAGE,
    NodeConfig,
    NodeError,
    NodeFactory,
    NodeHandle,
    require,
)
from plugins.rules_external.smtp_client import Mail, MailRefused, MailServer, mail_of, send

PARALLEL_MAX = 4
"""Mails of one node at a time: a thread each, and servers allow few connections of one host."""


class EmailConfig(NodeConfig, frozen=True, kw_only=True):
    """timeout: ms, of each step. smtp_protocol "smtps" is TLS from the first byte, enable_tls
    asks for it after the greeting, of any version that both sides know. The server's mail settings
    stay on the server, and no proxy is used."""

    use_system_smtp_settings: bool = False
    smtp_host: str = ""
    smtp_port: int = 0
    smtp_protocol: Literal["smtp", "smtps"] = "smtp"
    timeout: int = 0
    enable_tls: bool = False
    tls_version: str | None = None
    enable_proxy: bool = False
    proxy_host: str | None = None
    proxy_port: str | None = None
    proxy_user: str | None = None
    proxy_password: str | None = None
    username: str | None = None
    password: str | None = None


class SendEmail:
    """send email: Success when the mail server has taken the mail."""

    def __init__(self, config: EmailConfig, node: NodeHandle) -> None:
        system = "not supported on this edge: the server's mail settings do not reach an edge"
        require(not config.use_system_smtp_settings, system)
        require(not config.enable_proxy, "not supported on this edge: mail through a proxy")
        require(config.smtp_host, "the SMTP host is missing")
        require(0 < config.smtp_port < 65_536, "the SMTP port must be 1 .. 65535")
        self._server = MailServer(
            host=config.smtp_host,
            port=config.smtp_port,
            encrypted=config.smtp_protocol == "smtps",
            start_tls=config.enable_tls,
            timeout_s=config.timeout / 1000 if config.timeout > 0 else 10.0,
            username=config.username or None,
            password=config.password or "",
        )
        self._limiter = trio.CapacityLimiter(PARALLEL_MAX)

    async def process(self, message: Message, ctx: Context) -> None:
        """Send it; Failure with the reason in metadata `error`."""
        mail = _mail(message)
        try:
            await trio.to_thread.run_sync(
                send, self._server, mail, limiter=self._limiter, abandon_on_cancel=True
            )
        except MailRefused as error:
            metadata = {**message.metadata, "error": str(error)}
            ctx.failure(with_metadata(message, metadata), str(error))
        else:
            ctx.success(message)


def _mail(message: Message) -> Mail:
    """The mail that a "to email" node made."""
    if message.type != "SEND_EMAIL":
        raise NodeError(f"Not expected msg type [{message.type}] for SendEmail Node")
    try:
        mail = mail_of(message.data)
    except ValueError as error:
        raise NodeError(f"the message is no mail: {error}") from None
    if not mail.to.strip():
        raise NodeError(f"Email destination can not be blank [{mail.to}]")
    if not mail.sender.strip():
        raise NodeError("the mail has no sender, and this edge has no settings that would name one")
    return mail


EMAIL_NODES = (
    NodeFactory(
        PACKAGE + "mail.TbSendEmailNode",
        "send email",
        EmailConfig,
        SendEmail,
        note="with SMTP settings of its own; the server's do not reach an edge",
        outside=True,
    ),
)
