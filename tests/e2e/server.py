"""The app as a process of its own, and Debian's Chromium: for the browser tests and the screenshots."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
START_LIMIT_S = 180.0


def find_chromium() -> str | None:
    """Path of the browser: ``CHROMIUM``, or the first of the usual names that is installed."""
    return os.environ.get("CHROMIUM") or next((path for name in NAMES if (path := shutil.which(name))), None)


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


@contextmanager
def running_app(environment: Mapping[str, str], folder: Path, script: Path = PROJECT / "Home.py") -> Iterator[str]:
    """Start ``streamlit run Home.py`` from ``folder`` and give its address; log and process id go to ``folder``."""
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", str(script)]
    command += ["--server.port", str(port), "--server.headless", "true", "--server.fileWatcherType", "none"]
    inherited = {name: value for name, value in os.environ.items() if name != "TF_NUM_INTRAOP_THREADS"}
    with open(folder / "streamlit.log", "w", encoding="utf-8") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=inherited | dict(environment), stdout=log, stderr=subprocess.STDOUT
        )
        (folder / "streamlit.pid").write_text(str(process.pid))
        try:
            address = f"http://127.0.0.1:{port}"
            _wait(address, process, folder / "streamlit.log")
            yield address
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(address: str, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"The app ended at once:\n{log.read_text(encoding='utf-8')[-2000:]}")
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health", timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"The app does not answer:\n{log.read_text(encoding='utf-8')[-2000:]}")
