"""Pages that come from code agree with it, and pages that people write name what exists."""

import importlib.util
import re
from pathlib import Path

import pytest

from appliance.extension import hookspecs

ROOT = Path(__file__).parents[2]


def docs():
    spec = importlib.util.spec_from_file_location("docs", ROOT / "build" / "docs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "page", ["configuration.md", "appliance.example.toml", "cli.md", "sync.md"]
)
def test_a_generated_page_is_up_to_date(page):
    """When this fails, `make docs` and look at the difference."""
    path = ROOT / "docs" / page

    assert path.read_text("utf-8") == docs().pages()[path]


def test_every_hook_is_in_the_plugin_guide_with_its_signature():
    """`hook(arguments)`, literally."""
    guide = (ROOT / "docs" / "plugins.md").read_text("utf-8")
    missing = []
    for name, hook in vars(hookspecs).items():
        if hasattr(hook, "edge_appliance_spec"):
            arguments = ", ".join(hook.__code__.co_varnames[: hook.__code__.co_argcount])
            if f"`{name}({arguments})`" not in guide:
                missing.append(f"{name}({arguments})")

    assert missing == []


def test_links_between_pages_lead_somewhere():
    """Relative links only; the world outside is not ours to test."""
    broken = []
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?://|#|mailto:)([^)#]+)", page.read_text("utf-8")):
            if not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")

    assert broken == []
