"""The page in a browser without a network, on a phone and on a desk, light and dark."""

import html
import json
import pathlib
import shutil
import subprocess

import pytest

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
HERE = pathlib.Path(__file__).parent
FRAME = (HERE / "browser_frame.html").read_text()
PROBE = (HERE / "browser_probe.html").read_text()
FIGURES = (
    "scale-ladder",
    "trajectory-qwen25-coder-32b",
    "cross-architecture",
    "crosstalk",
    "humaneval",
    "sv-energy",
    "lambda",
    "reversibility",
    "damage-1",
    "own-companions-1",
    "own-validity-1",
)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium")


def opened(folder, page: str, width: int, dark: bool) -> tuple[dict, list[str]]:
    """What the probe found in a frame `width` pixels wide, and the console's lines."""
    (folder / "page.html").write_text(page.replace("</body>", f"{PROBE}</body>"))
    (folder / "frame.html").write_text(FRAME.replace("WIDTH", str(width)))
    quiet = ("gpu", "quic", "background-networking", "component-update", "sync")
    command = [
        BROWSER,
        "--headless",
        "--no-sandbox",
        "--no-first-run",
        *(f"--disable-{q}" for q in quiet),
        f"--user-data-dir={folder / 'profile'}",
        "--enable-logging=stderr",
        "--v=0",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--window-size=1300,900",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}",
        "--virtual-time-budget=10000",
        "--dump-dom",
        f"file://{folder / 'frame.html'}",
    ]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    found = ended.stdout.partition('data-found="')[2].partition('"')[0]
    return json.loads(html.unescape(found) or "{}"), [
        line for line in ended.stderr.splitlines() if "CONSOLE" in line
    ]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_in_a_browser(full, tmp_path, width, dark):
    found, console = opened(tmp_path, full.page, width, dark)
    assert (
        not console
        and found["width"] == width
        and found["over"] == 0
        and not found["fetched"]
    )
    assert found["dark"] == dark and found["back"] == (
        "rgb(20, 24, 28)" if dark else "rgb(255, 255, 255)"
    )
    drawn = {f"figure-{p.stem}" for p in (full.out / "figures").glob("*.svg")}
    assert {f"figure-{name}" for name in FIGURES} <= drawn == set(
        found["figures"]
    ) and len(drawn) == found["images"]
    assert [" ".join(column) for column in found["seeds"]] == [
        "0 0 0 1 1 1 2 3 4 5 6 7 42 42",
        "42 42 7 6 5 4 3 2 1 1 1 0 0 0",
    ]
    up, down = found["noted"]  # 8 everywhere, with a note in half of the rows
    assert (
        len(set(up)) == 2
        and up == down
        and found["conditions"][0] == found["conditions"][1]
    )
    assert [column[-1] for column in found["absent"]] == ["not run"] * 2 and {
        column[0][:2] for column in found["absent"]
    } == {"0."}


def test_an_error_of_the_script_is_seen(full, tmp_path):
    _, console = opened(
        tmp_path,
        full.page.replace("</body>", "<script>nothing.there();</script></body>"),
        390,
        False,
    )
    assert len(console) == 1 and "nothing is not defined" in console[0]
