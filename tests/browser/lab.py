"""A real JupyterLab in a real Chromium: open a notebook, run it, look, hear what broke.

``with lab(workplace) as server`` starts JupyterLab with its own settings and ends it by
its process group; ``with server.showing(folder)`` gives it a copy of a folder of
notebooks. Nothing but that server is reached: a request to any other host is refused
and counts as an error.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from playwright.sync_api import Browser, Route, sync_playwright
from playwright.sync_api import Page as Tab

ROOT = Path(__file__).parents[2]
ARTEFACTS = ROOT / "artefacts"
LATENCIES = ARTEFACTS / "latencies.txt"  # printed at the end of a run
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run", "--disable-quic",
]  # fmt: skip
SETTINGS: dict[str, dict[str, Any]] = {
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
    "docmanager-extension/plugin": {"autosave": False},
}
HIDDEN_STATE = """() => {
  const panel = jupyterapp.shell.currentWidget;
  const cells = panel.content.widgets.filter(
    (cell) => cell.model.type === "code" && cell.model.sharedModel.source.trim());
  const outputs = cells.map((cell) => cell.model.outputs.toJSON());
  return {
    idle: panel.sessionContext.session?.kernel?.status === "idle",
    counts: cells.map((cell) => cell.model.executionCount),
    waiting: cells.map((cell) => cell.model.executionState)
      .filter((state) => state && state !== "idle").length,
    errors: outputs.flat().filter((o) => o.output_type === "error")
      .map((o) => `${o.ename}: ${o.evalue}`),
  };
}"""


def in_time(what: str, measure: Callable[[], list[float]], most: float = 100) -> None:
    """Measure a latency in milliseconds, up to three times, and note its least median.

    Whatever else the machine does can only add to a latency, never take from it.

    Raises:
        AssertionError: if no median is within ``most``.
    """
    rounds: list[list[int]] = []
    while len(rounds) < 3:
        rounds.append([round(t) for t in measure()])
        if median(rounds[-1]) <= most:
            break
    note(f"{what}: {median(rounds[-1]):.0f} ms")
    assert median(rounds[-1]) <= most, rounds


def note(line: str) -> None:
    """Keep a line that the run prints at its end."""
    ARTEFACTS.mkdir(exist_ok=True)
    with LATENCIES.open("a") as file:
        file.write(f"{line}\n")


class Page:
    """One notebook in one browser tab, with a record of everything that went wrong."""

    def __init__(self, tab: Tab, url: str, refused: list[str]) -> None:
        self.tab = tab
        self._refused = refused
        self._console: list[str] = []
        tab.on("console", self._hear)
        tab.on("pageerror", lambda error: self._console.append(f"page: {error}"))
        tab.goto(url, wait_until="domcontentloaded")
        # A notebook without a kernelspec would wait for someone to choose one.
        tab.wait_for_function(
            "() => window.jupyterapp?.shell?.currentWidget?.sessionContext?.isReady",
            timeout=60_000,
        )
        self._until(lambda state: state["idle"], 60)

    def _hear(self, message: Any) -> None:
        if message.type == "error":
            self._console.append(f"console: {message.text}")

    def _until(self, met: Any, seconds: float) -> dict[str, Any]:
        """Poll what the notebook says of itself."""
        end = time.monotonic() + seconds
        while True:
            state = self.tab.evaluate(HIDDEN_STATE)
            if met(state):
                return dict(state)
            if time.monotonic() > end:
                raise TimeoutError(f"after {seconds} s the notebook is at {state}")
            time.sleep(0.1)

    def run_all(self, seconds: float = 120) -> float:
        """Run every cell.

        Returns:
            seconds until the last prompt was numbered and the kernel idle.

        Raises:
            AssertionError: if a cell ended in an error.
            TimeoutError: if it takes longer.
        """
        begun = time.monotonic()
        self.tab.evaluate(
            "() => void jupyterapp.commands.execute('notebook:run-all-cells')"
        )

        def over(state: dict[str, Any]) -> bool:
            done = all(state["counts"]) and not state["waiting"]
            return bool(state["idle"] and (done or state["errors"]))

        state = self._until(over, seconds)
        assert not state["errors"], state["errors"]
        return time.monotonic() - begun

    def errors(self) -> list[str]:
        """List error outputs, console errors and requests that left this machine."""
        outputs = [f"output: {e}" for e in self.tab.evaluate(HIDDEN_STATE)["errors"]]
        refused = [f"request: {url}" for url in self._refused]
        return outputs + self._console + refused

    def output(self, cell: int) -> Any:
        """Locate the output of a code cell, counted from 0, or backwards from -1."""
        cells = self.tab.locator(".jp-CodeCell .jp-Cell-outputWrapper")
        return cells.nth(cell)

    def slide(self, name: str, keys: str, within: Any = None) -> None:
        """Move the slider whose description is ``name`` by keyboard.

        Args:
            name: description, or accessible label.
            keys: such as "ArrowRight ArrowRight End".
            within: part of the page to look in.
        """
        place = within if within is not None else self.tab
        described = place.locator(".widget-slider", has_text=name)
        slider = described.locator("[role=slider]").or_(
            place.get_by_role("slider", name=name)
        )
        slider = slider.first
        slider.focus()
        for key in keys.split():
            slider.press(key)

    def latency(self, action: str, changed: str, times: int = 20) -> list[float]:
        """Measure milliseconds from an action to the next painted frame that shows it.

        Args:
            action: JavaScript that acts, such as a click.
            changed: JavaScript whose value changes when the action shows.
            times: how often.
        """
        script = f"""async () => {{
          const frame = () => new Promise((done) => requestAnimationFrame(done));
          const before = {changed}, start = performance.now();
          {action};
          while ({changed} === before && performance.now() < start + 5e3) await frame();
          await frame();
          return performance.now() - start;
        }}"""
        return [float(self.tab.evaluate(script)) for _ in range(times)]

    def themes(self) -> tuple[str, str]:
        """Both themes, that of the page first."""
        light = self.tab.locator("body").get_attribute("data-jp-theme-light")
        return ("light", "dark") if light == "true" else ("dark", "light")

    def theme(self, name: str) -> None:
        """Switch to "light" or "dark"."""
        if name == self.themes()[0]:
            return
        self.tab.evaluate(
            """async (theme) =>
              jupyterapp.commands.execute('apputils:change-theme', { theme })""",
            f"JupyterLab {name.title()}",
        )
        self.tab.wait_for_selector(
            f"body[data-jp-theme-light={'true' if name == 'light' else 'false'}]",
            state="attached",
        )
        self.tab.wait_for_timeout(300)

    def screenshot(self, name: str, of: Any = None) -> Path:
        """Save a picture among the artefacts, of an element or of the window."""
        ARTEFACTS.mkdir(exist_ok=True)
        path = ARTEFACTS / f"{name}.png"
        (of if of is not None else self.tab).screenshot(path=path)
        return path

    def close(self) -> None:
        """End the tab; its kernel ends with the server."""
        self.tab.close()


class Server:
    """A running JupyterLab and a browser to look at it."""

    def __init__(
        self, address: str, token: str, browser: Browser, workplace: Path
    ) -> None:
        self.browser = browser
        self.context = browser.new_context(
            color_scheme="light", reduced_motion="reduce"
        )
        self.context.route("**/*", self._local_only)
        self.refused: list[str] = []
        self._address, self._token = address, token
        self._workplace = workplace
        self._folder = ""

    def _local_only(self, route: Route) -> None:
        parts = urlsplit(route.request.url)
        if parts.scheme in ("data", "blob") or parts.hostname == "127.0.0.1":
            route.continue_()
        else:
            self.refused.append(route.request.url)
            route.abort()

    @contextmanager
    def showing(self, notebooks: Path) -> Iterator["Server"]:
        """Show a copy of a folder; then close its tabs, end its kernels and be light.

        Args:
            notebooks: folder to copy.
        """
        shown = self._workplace / "notebooks"
        self._folder = f"{len(list(shown.iterdir()))}/"
        copy = shown / self._folder
        shutil.copytree(notebooks, copy, ignore=shutil.ignore_patterns(".*"))
        self.refused.clear()
        try:
            yield self
        finally:
            for tab in self.context.pages:
                tab.close()
            for session in json.loads(self._ask("GET", "sessions")):
                self._ask("DELETE", f"sessions/{session['id']}")
            chosen = _settings(self._workplace, "apputils-extension/themes")
            chosen.unlink(missing_ok=True)

    def _ask(self, method: str, what: str) -> bytes:
        headers = {"Authorization": f"token {self._token}"}
        url = f"{self._address}/api/{what}"
        with urlopen(Request(url, method=method, headers=headers), timeout=30) as said:
            return bytes(said.read())

    def open(self, notebook: str, width: int = 1280, height: int = 900) -> Page:
        """Open a notebook alone in the window and wait for its kernel."""
        tab = self.context.new_page()
        tab.set_viewport_size({"width": width, "height": height})
        place = f"{self._address}/doc/tree/{self._folder}{notebook}"
        return Page(tab, f"{place}?token={self._token}&reset", self.refused)


@contextmanager
def lab(workplace: Path) -> Iterator[Server]:
    """Start JupyterLab and a browser.

    Args:
        workplace: an empty folder for notebooks, settings and log.
    """
    (workplace / "notebooks").mkdir()
    with _serving(workplace) as (address, token), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        try:
            yield Server(address, token, browser, workplace)
        finally:
            browser.close()


def chromium() -> str | None:
    """Find the Chromium of this machine; None lets Playwright use its own."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


def _settings(workplace: Path, name: str) -> Path:
    return workplace / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"


@contextmanager
def _serving(workplace: Path) -> Iterator[tuple[str, str]]:
    notebooks = workplace / "notebooks"
    for name, values in SETTINGS.items():
        path = _settings(workplace, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values), "utf-8")
    token, port = os.urandom(16).hex(), _free_port()
    own = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ipython",
    }
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        **os.environ,
        **{key: str(workplace / folder) for key, folder in own.items()},
        "PYTHONPATH": os.pathsep.join(paths),
        "OPENBLAS_NUM_THREADS": os.environ.get("OPENBLAS_NUM_THREADS", "1"),
        "JUPYTER_PLATFORM_DIRS": "1",
    }
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root",
        "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}",
        f"--ServerApp.root_dir={notebooks}", "--LabApp.expose_app_in_browser=True",
        "--LabApp.news_url=None", "--LabApp.check_for_updates_class="
        "jupyterlab.handlers.announcements.NeverCheckForUpdate",
    ]  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    with (workplace / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=notebooks, env=environment, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
        try:
            _wait(process, f"{address}/api/status?token={token}", workplace)
            yield address, token
        finally:
            _end(process)


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def _wait(process: subprocess.Popen[bytes], url: str, workplace: Path) -> None:
    for _ in range(300):
        if process.poll() is not None:
            break
        try:
            with urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    log = (workplace / "server.log").read_text("utf-8", "replace")
    raise RuntimeError(f"JupyterLab did not start:\n{log[-3000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the server's process group; its kernels end when they miss it."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
            process.wait(timeout=10)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
