"""What the demo shows at one moment, and how it reads: pure, text in and out.

Three forms of the same figures: a page that is drawn over and over on a terminal, a line a second
for everything else, and the summary at the end.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from appliance.demo.audit import Verdict

VALUES_A_MESSAGE = 5
WIDTH = 72
BACKLOG_LOOKS = 48
"""Looks at the backlog that are drawn: twelve seconds."""
_BARS = " ▁▂▃▄▅▆▇█"


class Figures(msgspec.Struct, frozen=True):
    """One look at devices, edge and cloud. Counts are messages since the start; rates a second.

    waiting: on the edge for the cloud. oldest_s: how long the oldest of them has waited.
    """

    elapsed_s: float = 0.0
    sent: int = 0
    acknowledged: int = 0
    at_cloud: int = 0
    waiting: int = 0
    oldest_s: float = 0.0
    in_per_s: float = 0.0
    out_per_s: float = 0.0
    edge_rss_bytes: int = 0
    cloud_rss_bytes: int = 0
    edge_disk_bytes: int = 0
    cloud_disk_bytes: int = 0


class Scene(msgspec.Struct, frozen=True):
    """Everything that is drawn.

    title: the chapter, a few words. text: what happens, one or two lines. link: "up", "cut" or
    "none". left_s: until the chapter ends, if that is known. waiting: of the last looks.
    """

    title: str
    text: str
    link: str = "none"
    left_s: float | None = None
    figures: Figures = Figures()
    waiting: tuple[int, ...] = ()
    verdict: Verdict = Verdict()


class Style:
    """Colours for a terminal; without `on` everything is plain."""

    def __init__(self, on: bool) -> None:
        self._on = on

    def paint(self, code: str, text: str) -> str:
        """The text in a colour: an SGR code such as "1" (bold) or "32" (green)."""
        return f"\x1b[{code}m{text}\x1b[0m" if self._on else text


def page(scene: Scene, style: Style) -> list[str]:
    """The whole picture, line by line."""
    now = scene.figures
    clock = f"{int(now.elapsed_s) // 60:02}:{int(now.elapsed_s) % 60:02}"
    left = "" if scene.left_s is None else f"   {max(0.0, scene.left_s):.0f} s"
    text = (scene.text + "\n").splitlines()[:2]
    return [
        "",
        "  " + style.paint("1", "Edge Appliance") + f"{clock:>{WIDTH - 16}}",
        "",
        "  " + style.paint("1", scene.title) + style.paint("2", left),
        *(f"  {row}" for row in (*text, "")[:2]),
        "",
        *_picture(scene, style),
        "",
        *_table(now),
        "",
        *_backlog(scene),
        "",
        style.paint("2", "  Ctrl-C ends it with a count of what arrived."),
    ]


def _picture(scene: Scene, style: Style) -> list[str]:
    line = {
        "up": style.paint("32", "━━━━━━━━━━━━━▶"),
        "cut": style.paint("31", "━━━━╸  ╳  ╺━━▶"),
        "none": style.paint("2", "╌╌╌╌╌╌╌╌╌╌╌╌╌╌"),
    }[scene.link]
    said = {"up": "connected", "cut": "cut", "none": ""}[scene.link]
    inner = style.paint("2" if scene.link == "none" else "32", "━━━━━━━━━━━━━▶")
    return [
        f"     20 devices   {inner}    edge    {line}    cloud",
        f"     MQTT, HTTP   {'':14}   keeps    {said:^14}".rstrip(),
    ]


def _table(now: Figures) -> list[str]:
    rows = [
        ("", "devices", "edge", "cloud"),
        ("messages", f"{now.sent:,}", f"{now.acknowledged:,}", f"{now.at_cloud:,}"),
        ("a second", "", f"{now.in_per_s:,.0f}", f"{now.out_per_s:,.0f}"),
        ("memory", "", _mib(now.edge_rss_bytes), _mib(now.cloud_rss_bytes)),
        ("disk", "", _mib(now.edge_disk_bytes), _mib(now.cloud_disk_bytes)),
    ]
    return [f"  {name:<10}{a:>16}{b:>19}{c:>23}".rstrip() for name, a, b, c in rows]


def _backlog(scene: Scene) -> list[str]:
    top = max(scene.waiting[-BACKLOG_LOOKS:], default=0)
    bars = sparkline(scene.waiting, BACKLOG_LOOKS)
    return [
        f"  {'waiting':<10}{scene.figures.waiting:>35,}",
        f"  {'':<10}{bars} {top:>9,}",
    ]


def sparkline(numbers: Sequence[int], width: int) -> str:
    """The last numbers as bars, the largest as high as a line."""
    shown = list(numbers[-width:])
    top = max(shown, default=0)
    if not top:
        return _BARS[1] * len(shown) + " " * (width - len(shown))
    bars = "".join(_BARS[1 + number * (len(_BARS) - 2) // top] for number in shown)
    return bars + " " * (width - len(shown))


def line(scene: Scene) -> str:
    """The same for a file or a pipe: one line."""
    now = scene.figures
    return (
        f"{now.elapsed_s:5.1f} s  link {scene.link:<4}  sent {now.sent:,}  "
        f"acknowledged {now.acknowledged:,}  waiting {now.waiting:,}  at the cloud {now.at_cloud:,}"
    )


class Report(msgspec.Struct, frozen=True):
    """What the demo found out.

    waited_s_max: the longest that a device waited for its acknowledgement. late_s_max: the
    longest that a message waited for the cloud. cut_s, cuts: how long the line was cut, how often.
    drained_s: from the mended line to an empty backlog, the longest. backlog_max: messages.
    """

    verdict: Verdict
    figures: Figures
    waited_s_max: float
    late_s_max: float
    cuts: int
    cut_s: float
    drained_s: float
    backlog_max: int
    folder: str


def summary(report: Report, style: Style) -> list[str]:
    """The page at the end."""
    found, now = report.verdict, report.figures
    good = found.clean and now.sent > 0
    title = "Nothing was lost." if good else "Something is not as it must be."
    values = now.acknowledged * VALUES_A_MESSAGE
    again = max(0, now.at_cloud - now.acknowledged)
    rows = [
        ("sent by 20 devices", f"{now.sent:,} messages", f"{now.sent * VALUES_A_MESSAGE:,} values"),
        ("acknowledged by the edge", f"{now.acknowledged:,} messages", f"{values:,} values"),
        ("found in the cloud", "", f"{found.found:,} values"),
        ("lost", "", f"{found.lost:,}"),
        ("wrong", "", f"{found.wrong:,}"),
        ("duplicates", "", f"{found.duplicates:,}"),
        ("", "", ""),
        ("line cut", f"{report.cuts} x", f"{report.cut_s:.1f} s together"),
        ("backlog", f"{report.backlog_max:,} messages", f"gone in {report.drained_s:.1f} s"),
        ("on the way when cut", f"{again:,} messages", "sent again, kept once"),
        ("longest wait of a device", "", f"{report.waited_s_max * 1000:,.0f} ms"),
        ("longest way to the cloud", "", f"{report.late_s_max:.1f} s"),
        ("", "", ""),
        ("memory", f"{_mib(now.edge_rss_bytes)} edge", f"{_mib(now.cloud_rss_bytes)} cloud"),
        ("on disk", f"{_mib(now.edge_disk_bytes)} edge", f"{_mib(now.cloud_disk_bytes)} cloud"),
    ]
    return [
        "",
        "  " + style.paint("1;32" if good else "1;31", title),
        "",
        *(f"  {name:<26}{middle:>20}{last:>22}".rstrip() for name, middle, last in rows),
        "",
    ]


def _mib(count: int) -> str:
    return f"{count / (1 << 20):6.1f} MB"
