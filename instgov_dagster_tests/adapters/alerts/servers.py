"""A mail server and a webhook on loopback that take what is sent, or fail as they are told to."""

import json
import queue
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast


class Mood(StrEnum):
    """How a server treats who comes."""

    TAKES = "takes"
    REFUSES = "refuses"  # an answer, and it says no
    HANGS = "hangs"  # takes the connection and never answers
    DRIPS = "drips"  # a byte now and then, never a whole answer
    CUTS = "cuts"  # closes in the middle


@dataclass
class Mailbox:
    """What a mail server took."""

    port: int = 0
    mood: Mood = Mood.TAKES
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    calls: int = 0


@dataclass
class Hook:
    """What a webhook took."""

    port: int = 0
    mood: Mood = Mood.TAKES
    posts: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    calls: int = 0
    arrived: "queue.SimpleQueue[dict[str, Any]]" = field(default_factory=queue.SimpleQueue)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks/T0KEN-secret"


def closed_port() -> int:
    """Give a port of loopback on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class SmtpSession(socketserver.StreamRequestHandler):
    """One client of the mail server."""

    mailbox: Mailbox
    is_over: threading.Event

    def handle(self) -> None:
        box = self.mailbox
        box.calls += 1
        if box.mood is Mood.HANGS:
            self.is_over.wait()
        elif box.mood is Mood.DRIPS:
            drip(self.wfile, self.is_over)
        else:
            self.say("220 loopback ESMTP")
            for raw in self.rfile:
                if not self.answer(raw.decode().strip()):
                    return

    def answer(self, line: str) -> bool:
        word = line.split(":", maxsplit=1)[0].split(maxsplit=1)[0].upper()
        if word == "DATA":
            return self.take()
        if word == "RCPT":
            self.mailbox.recipients.append(line)
            self.say("550 none such" if self.mailbox.mood is Mood.REFUSES else "250 ok")
            return True
        self.say("221 bye" if word == "QUIT" else "250 ok")
        return word != "QUIT"

    def take(self) -> bool:
        if self.mailbox.mood is Mood.CUTS:
            return False
        self.say("354 go on")
        lines = []
        for raw in self.rfile:
            if raw == b".\r\n":
                break
            lines.append(raw)
        mail = message_from_bytes(b"".join(lines), policy=policy.default)
        self.mailbox.mails.append(cast("EmailMessage", mail))
        self.say("250 taken")
        return True

    def say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


@contextmanager
def smtp_server(mood: Mood = Mood.TAKES) -> Iterator[Mailbox]:
    """Serve SMTP (RFC 5321) as far as a client that sends a mail needs it."""
    box, leave = Mailbox(mood=mood), threading.Event()

    class Session(SmtpSession):
        mailbox = box
        is_over = leave

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session) as server:
        server.daemon_threads = True
        box.port = server.server_address[1]
        with serving(server, leave):
            yield box


@contextmanager
def hook_server(mood: Mood = Mood.TAKES) -> Iterator[Hook]:
    """Serve a webhook that takes JSON."""
    hook, leave = Hook(mood=mood), threading.Event()

    class Call(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            hook.calls += 1
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if hook.mood is Mood.HANGS:
                leave.wait()
            elif hook.mood is Mood.DRIPS:
                drip(self.wfile, leave)
            elif hook.mood is Mood.CUTS:
                self.wfile.write(b"HTTP/1.")
            elif hook.mood is Mood.REFUSES:
                self.send_error(500)
            else:
                hook.posts.append(json.loads(body))
                hook.paths.append(self.path)
                self.send_response(204)
                self.end_headers()
                hook.arrived.put(hook.posts[-1])

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base's name
            del format, args

    with ThreadingHTTPServer(("127.0.0.1", 0), Call) as server:
        hook.port = server.server_address[1]
        with serving(server, leave):
            yield hook


@contextmanager
def serving(server: socketserver.BaseServer, leave: threading.Event) -> Iterator[None]:
    """Serve in a thread; whoever hangs there is let go at the end."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        leave.set()
        server.shutdown()
        thread.join()


def drip(stream: Any, leave: threading.Event) -> None:
    """Write a byte every little while, for ever."""
    while not leave.wait(0.02):
        try:
            stream.write(b"2")
            stream.flush()
        except OSError:
            return


@dataclass(frozen=True)
class Listeners:
    """Both servers at once, and the environment that names them."""

    mailbox: Mailbox
    hook: Hook

    @property
    def environment(self) -> dict[str, str]:
        return {
            "INSTGOV_ALERT_SMTP": f"127.0.0.1:{self.mailbox.port}",
            "INSTGOV_ALERT_FROM": "watch@example.org",
            "INSTGOV_ALERT_TO": "ann@example.org",
            "INSTGOV_ALERT_WEBHOOK": self.hook.url,
        }

    def events(self) -> list[tuple[str, list[str]]]:
        """What the webhook was told, each with its reasons; the mails must say the same."""
        told = [(post["event"], post["facts"].get("reasons", [])) for post in self.hook.posts]
        texts = [mail.get_content() for mail in self.mailbox.mails]
        mailed = [json.loads(text[text.index("{") :]) for text in texts]
        assert [(mail["event"], mail["facts"].get("reasons", [])) for mail in mailed] == told
        return told


@contextmanager
def listening() -> Iterator[Listeners]:
    """Serve both."""
    with smtp_server() as mailbox, hook_server() as hook:
        yield Listeners(mailbox, hook)
