"""to email: makes the SEND_EMAIL message that a mail node would send."""

from __future__ import annotations

from appliance.model.message import Message
from appliance.rules.context import Context
from appliance.rules.messages import transformed
from appliance.rules.node import PACKAGE, NodeConfig, NodeFactory, NodeHandle
from appliance.rules.patterns import fill
from appliance.rules.values import decode_json


class EmailConfig(NodeConfig, frozen=True, kw_only=True):
    """Templates are patterns. mail_body_type: "true" or "false" for HTML, or "dynamic"."""

    from_template: str | None = None
    to_template: str | None = None
    cc_template: str | None = None
    bcc_template: str | None = None
    subject_template: str | None = None
    body_template: str | None = None
    mail_body_type: str | None = None
    is_html_template: str | None = None


class ToEmail:
    """to email: empty templates give null."""

    def __init__(self, config: EmailConfig, node: NodeHandle) -> None:
        self._config = config

    def process(self, message: Message, ctx: Context) -> None:
        """Success with the mail as data."""
        config = self._config
        html: str | None = config.mail_body_type
        if html == "dynamic":
            html = _filled(config.is_html_template, message)
        images = message.metadata.get("images")
        mail = {
            "from": _filled(config.from_template, message),
            "to": _filled(config.to_template, message),
            "cc": _filled(config.cc_template, message),
            "bcc": _filled(config.bcc_template, message),
            "subject": _filled(config.subject_template, message),
            "body": _filled(config.body_template, message),
            "images": decode_json(images) if images else None,
            "html": (html or "").lower() == "true",
        }
        ctx.success(transformed(message, "SEND_EMAIL", mail, message.metadata))


def _filled(template: str | None, message: Message) -> str | None:
    return fill(template, message) if template else None


EMAIL_NODES = (NodeFactory(PACKAGE + "mail.TbMsgToEmailNode", "to email", EmailConfig, ToEmail),)
