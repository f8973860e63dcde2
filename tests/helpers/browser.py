"""A page in headless Chromium, driven through its DevTools protocol over two pipes."""

import json
import os
import select
import shutil
import subprocess
import time
from contextlib import contextmanager

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
_QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--no-proxy-server", "--host-resolver-rules=MAP * ~NOTFOUND"),
)


@contextmanager
def browser(folder):
    """Start Chromium with its profile in a folder; give a function that opens pages in it."""
    ours, theirs = os.pipe(), os.pipe()  # commands, and what it answers

    def as_3_and_4():
        commands, answers = os.dup(ours[0]), os.dup(theirs[1])
        commands, answers = (fd if fd > 4 else os.dup2(fd, fd + 10) for fd in (commands, answers))
        os.dup2(commands, 3)
        os.dup2(answers, 4)

    process = subprocess.Popen(
        [CHROMIUM, *_QUIET, "--remote-debugging-pipe", f"--user-data-dir={folder}", "about:blank"],
        preexec_fn=as_3_and_4,
        close_fds=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(ours[0])
    os.close(theirs[1])
    connection = _Connection(ours[1], theirs[0])
    try:
        yield lambda path, **options: Page(connection, path, **options)
        connection.call("Browser.close")
    finally:
        os.close(ours[1])
        os.close(theirs[0])
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class _Connection:
    def __init__(self, commands, answers):
        self.commands, self.answers = commands, answers
        self.pending, self.number, self.events = b"", 0, []

    def call(self, method, session=None, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.commands, data) :]
        number = self.number
        while True:
            answer = self._receive(time.monotonic() + 60)
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            self.events.append(answer)

    def wait_for(self, method, session):
        while True:
            for event in self.events:
                if event.get("method") == method and event.get("sessionId") == session:
                    return
            self.events.append(self._receive(time.monotonic() + 60))

    def _receive(self, until):
        while b"\0" not in self.pending:
            ready, _, _ = select.select([self.answers], [], [], max(0, until - time.monotonic()))
            assert ready, "Chromium does not answer"
            data = os.read(self.answers, 1 << 20)
            assert data, "Chromium ended"
            self.pending += data
        message, self.pending = self.pending.split(b"\0", 1)
        return json.loads(message)


class Page:
    """A loaded page.

    Attributes
    ----------
    complaints : list of dict
        Errors and warnings of scripts, of the console and of the browser itself.
    requests : list of str
        All addresses that were asked for.
    """

    def __init__(self, connection, path, width=1280, height=900, scheme="light", media=""):
        self.connection = connection
        target = connection.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = connection.call("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=media, features=features)
        self.call("Page.navigate", url=path.resolve().as_uri())
        connection.wait_for("Page.loadEventFired", self.session)

    def call(self, method, **parameters):
        return self.connection.call(method, self.session, **parameters)

    def run(self, script):
        """Run JavaScript; return the value of the expression."""
        result = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def click(self, selector):
        """Click in the middle of an element with the mouse, as a user would."""
        x, y = self.run(
            f"(async () => {{ const e = document.querySelector({json.dumps(selector)}); "
            "e.scrollIntoView({block: 'center', inline: 'center', behavior: 'instant'}); "
            # What listens to scrolling has heard of it then.
            "for (let i = 0; i < 2; i++) await new Promise(requestAnimationFrame); "
            "const b = e.getBoundingClientRect(); "
            "return [b.left + b.width / 2, b.top + b.height / 2]; })()"
        )
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def _events(self, *methods):
        self.run("0")  # what was said before has arrived then
        return [
            event["params"]
            for event in self.connection.events
            if event.get("sessionId") == self.session and event.get("method") in methods
        ]

    @property
    def complaints(self):
        return self._events("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")

    @property
    def requests(self):
        return [event["request"]["url"] for event in self._events("Network.requestWillBeSent")]
