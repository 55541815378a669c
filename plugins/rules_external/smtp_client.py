"""One mail over SMTP: smtplib of the standard library, on a worker thread."""

from __future__ import annotations

import base64
import binascii
import mimetypes
import re
import smtplib
import ssl
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import make_msgid
from typing import Any

import msgspec

_DATA_URL = re.compile(r"^data:image/[^;]*;base64,?")


class MailRefused(Exception):
    """The mail server has not taken the mail: the text says why."""


class Mail(msgspec.Struct, frozen=True):
    """As a "to email" node writes it. Addresses are lists with commas; images: id -> base64."""

    to: str = ""
    sender: str = msgspec.field(default="", name="from")
    cc: str = ""
    bcc: str = ""
    subject: str = ""
    body: str = ""
    images: dict[str, str] = {}
    html: bool = False


class MailServer(msgspec.Struct, frozen=True):
    """Where and as whom. encrypted: TLS from the first byte; start_tls: after the greeting."""

    host: str
    port: int
    encrypted: bool
    start_tls: bool
    timeout_s: float
    username: str | None
    password: str


def mail_of(data: Any) -> Mail:
    """A message's data as a mail. Raises ValueError."""
    if isinstance(data, dict):
        data = {key: value for key, value in data.items() if value is not None}
    return msgspec.convert(data, Mail, strict=False)


def send(server: MailServer, mail: Mail) -> None:
    """Hand the mail over. Blocks; for a worker thread. Raises MailRefused."""
    try:
        message = composed(mail)
        with _connected(server) as connection:
            if server.start_tls:
                connection.starttls(context=ssl.create_default_context())
            if server.username is not None:
                connection.login(server.username, server.password)
            receivers = [one for text in (mail.to, mail.cc, mail.bcc) for one in addresses(text)]
            refused = connection.send_message(message, addresses(mail.sender)[0], receivers)
    except smtplib.SMTPRecipientsRefused as error:
        raise MailRefused(f"{server.host}: {_refusals(error.recipients)}") from None
    except (smtplib.SMTPException, OSError, ValueError) as error:
        raise MailRefused(f"{server.host}: {error or type(error).__name__}") from None
    if refused:
        raise MailRefused(f"{server.host}: {_refusals(refused)}")


def _connected(server: MailServer) -> smtplib.SMTP:
    if server.encrypted:
        context = ssl.create_default_context()
        return smtplib.SMTP_SSL(server.host, server.port, timeout=server.timeout_s, context=context)
    return smtplib.SMTP(server.host, server.port, timeout=server.timeout_s)


def _refusals(refused: dict[str, tuple[int, bytes]]) -> str:
    return "; ".join(
        f"{address}: {code} {text.decode(errors='replace')}"
        for address, (code, text) in refused.items()
    )


def addresses(text: str) -> list[str]:
    """The addresses of a list with commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def composed(mail: Mail) -> EmailMessage:
    """The mail as it goes over the wire; hidden receivers are in no header. Raises ValueError."""
    message = EmailMessage(policy=SMTP)
    message["From"] = mail.sender
    message["To"] = ", ".join(addresses(mail.to))
    if mail.cc:
        message["Cc"] = ", ".join(addresses(mail.cc))
    message["Subject"] = mail.subject
    message["Message-ID"] = make_msgid(domain="edge.appliance")
    message.set_content(mail.body, subtype="html" if mail.html else "plain")
    for id, text in mail.images.items():
        kind = (mimetypes.guess_type(id)[0] or "application/octet-stream").split("/")
        message.add_related(_bytes(id, text), *kind, cid=f"<{id}>", disposition="inline")
    return message


def _bytes(id: str, text: str) -> bytes:
    try:
        return base64.b64decode(_DATA_URL.sub("", text), validate=True)
    except binascii.Error as error:
        raise ValueError(f"image {id!r} is not base64: {error}") from None
