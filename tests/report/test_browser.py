"""The page in a browser: its script runs without an error, tables can be sorted, nothing is wider than a phone."""

import shutil
import subprocess

import pytest

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
PROBE = """<script>
window.addEventListener("error", event => document.body.dataset.failed = event.message);
</script>"""
AFTER = """<script>
const head = [...document.querySelectorAll("#T3 thead th")].find(h => h.textContent === "seed");
const column = () => [...document.querySelectorAll("#T3 tbody tr")].map(r => r.cells[1].textContent).join(" ");
head.click(); document.body.dataset.up = column(); head.click(); document.body.dataset.down = column();
document.body.dataset.images = [...document.images].filter(i => !i.naturalWidth).length;
document.body.dataset.wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
</script>"""


@pytest.mark.skipif(BROWSER is None, reason="no chromium")
def test_in_a_browser(full, tmp_path):
    probed = tmp_path / "page.html"
    probed.write_text(
        full.page.replace("<body>", f"<body>{PROBE}").replace(
            "</body>", f'<script>window.addEventListener("load", () => {{ {AFTER[9:-10]} }});</script></body>'
        )
    )
    quiet = ("gpu", "quic", "background-networking", "component-update", "sync")
    command = [BROWSER, "--headless", "--no-sandbox", "--no-first-run", *(f"--disable-{q}" for q in quiet), f"--user-data-dir={tmp_path / 'profile'}",
               "--window-size=500,900", "--virtual-time-budget=10000", "--dump-dom", f"file://{probed}"]  # fmt: skip
    page = subprocess.run(command, capture_output=True, text=True, timeout=120).stdout
    body = page[page.index("<body") : page.index(">", page.index("<body"))]
    assert "data-failed" not in body
    assert 'data-up="0 0 0 1 1 1 2 3 4 5 6 7 42 42"' in body and 'data-down="42 42 7 6 5 4 3 2 1 1 1 0 0 0"' in body
    assert 'data-images="0"' in body and 'data-wide="0"' in body
