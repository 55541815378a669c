"""send email, against an SMTP server on a real socket."""

from __future__ import annotations

import base64
import email
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import Message as Mail
from email.policy import default
from typing import Any

import pytest
import trio

from appliance.rules.compile import CompiledNode
from appliance.rules.debug import DebugLog
from appliance.rules.node import PACKAGE
from appliance.testing.rules import RuleBench
from plugins.rules_external import register_rule_nodes

TYPE = PACKAGE + "mail.TbSendEmailNode"


class MailHost:
    """Takes mails; refuses receivers at `nowhere`; wants the login u/p where it is told to."""

    def __init__(self, *, login: bool = False) -> None:
        self.login = login
        self.receivers: list[str] = []
        self.mails: list[Mail] = []

    async def __call__(self, stream: trio.abc.Stream) -> None:
        lines = _Lines(stream)
        await stream.send_all(b"220 here\r\n")
        allowed = not self.login
        while (line := await lines.next()) is not None:
            verb = line[:4].upper()
            if verb == b"EHLO":
                await stream.send_all(b"250-here\r\n250 AUTH PLAIN\r\n")
            elif verb == b"AUTH":
                allowed = line.split()[-1] == base64.b64encode(b"\0u\0p")
                await stream.send_all(b"235 yes\r\n" if allowed else b"535 no\r\n")
            elif verb == b"RCPT" and (b"nowhere" in line or not allowed):
                await stream.send_all(b"550 unknown\r\n")
            elif verb == b"RCPT":
                self.receivers.append(line[8:].strip().strip(b"<>").decode())
                await stream.send_all(b"250 ok\r\n")
            elif verb == b"DATA":
                await stream.send_all(b"354 go\r\n")
                self.mails.append(await self._mail(lines))
                await stream.send_all(b"250 taken\r\n")
            elif verb == b"QUIT":
                await stream.send_all(b"221 bye\r\n")
                return
            else:
                await stream.send_all(b"250 ok\r\n")

    async def _mail(self, lines: _Lines) -> Mail:
        taken = []
        while (line := await lines.next()) not in (b".", None):
            assert line is not None
            taken.append(line[1:] if line.startswith(b"..") else line)
        return email.message_from_bytes(b"\r\n".join(taken), policy=default)


class _Lines:
    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._data = b""

    async def next(self) -> bytes | None:
        while b"\r\n" not in self._data:
            more = await self._stream.receive_some(65536)
            if not more:
                return None
            self._data += more
        line, _, self._data = self._data.partition(b"\r\n")
        return line


@asynccontextmanager
async def serving(host: MailHost) -> AsyncIterator[int]:
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, host, 0)
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


def loaded(port: int, **more: Any) -> tuple[RuleBench, CompiledNode]:
    factories = register_rule_nodes().nodes
    bench = RuleBench(factories)
    configuration = {"smtpHost": "localhost", "smtpPort": port, "timeout": 5000, **more}
    return bench, bench.load_node(factories[TYPE], configuration)


async def sent(port: int, mail: Any, kind: str = "SEND_EMAIL", **more: Any) -> tuple[str, str]:
    """(label, error) of a mail."""
    bench, node = loaded(port, **more)
    assert node.refusal is None, node.refusal
    node.debug = DebugLog({"allEnabled": True})
    await bench.run(bench.message(kind, bench.add_device("D"), mail))
    event = node.debug.events()[-1]
    return event.label or "", event.error or ""


MAIL = {"from": "edge@plant", "to": "a@x, b@x", "subject": "Wärme", "body": "zu heiß\n.\nende"}


async def test_a_mail_arrives_with_all_its_receivers() -> None:
    host = MailHost()
    async with serving(host) as port:
        outcome = await sent(port, {**MAIL, "cc": "c@x", "bcc": "d@x", "images": None})
    assert outcome == ("Success", "")
    assert host.receivers == ["a@x", "b@x", "c@x", "d@x"]
    (mail,) = host.mails
    assert (mail["From"], mail["To"], mail["Cc"]) == ("edge@plant", "a@x, b@x", "c@x")
    assert (mail["Subject"], mail["Bcc"]) == ("Wärme", None)
    assert mail.get_content_type() == "text/plain"
    assert mail.get_content().splitlines() == ["zu heiß", ".", "ende"]


async def test_html_has_its_images_inside() -> None:
    host = MailHost()
    images = {"logo.png": "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()}
    async with serving(host) as port:
        await sent(port, {**MAIL, "body": "<b>x</b>", "html": True, "images": images})
    (mail,) = host.mails
    text, image = mail.get_payload()
    assert (text.get_content_type(), image.get_content_type()) == ("text/html", "image/png")
    assert (image["Content-ID"], image.get_payload(decode=True)) == ("<logo.png>", b"\x89PNG")


@pytest.mark.parametrize(("password", "label"), [("p", "Success"), ("wrong", "Failure")])
async def test_a_login_is_used(password: str, label: str) -> None:
    async with serving(MailHost(login=True)) as port:
        assert (await sent(port, MAIL, username="u", password=password))[0] == label


@pytest.mark.parametrize(
    ("mail", "kind", "says"),
    [
        ({**MAIL, "to": "a@nowhere"}, "SEND_EMAIL", "a@nowhere: 550 unknown"),
        ({**MAIL, "to": "a@x, b@nowhere"}, "SEND_EMAIL", "b@nowhere: 550 unknown"),
        ({**MAIL, "to": " "}, "SEND_EMAIL", "destination can not be blank"),
        ({**MAIL, "from": None}, "SEND_EMAIL", "no sender"),
        ({**MAIL, "images": {"a.png": "?"}}, "SEND_EMAIL", "not base64"),
        ("text", "SEND_EMAIL", "no mail"),
        (MAIL, "ALARM", "Not expected msg type [ALARM]"),
    ],
)
async def test_what_cannot_be_sent_is_a_failure_that_says_why(
    mail: Any, kind: str, says: str
) -> None:
    async with serving(MailHost()) as port:
        label, error = await sent(port, mail, kind)
    assert (label, says in error) == ("Failure", True), error


async def test_a_server_that_is_away_is_a_failure() -> None:
    label, error = await sent(9, MAIL)
    assert (label, "localhost" in error) == ("Failure", True)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"useSystemSmtpSettings": True}, "not supported on this edge"),
        ({"smtpHost": ""}, "host is missing"),
        ({"smtpPort": 0}, "port"),
        ({"smtpProtocol": "pigeon"}, "smtpProtocol"),
    ],
)
def test_settings_that_cannot_work_are_refused(more: dict[str, Any], says: str) -> None:
    _, node = loaded(25, **more)
    assert node.refusal is not None and says in node.refusal
