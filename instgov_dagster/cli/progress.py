"""A bar for the person who waits, drawn from what night and session publish of themselves."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_POLL_SECONDS = 0.2


@contextmanager
def progress(path: Path, title: str, *, is_shown: bool) -> Iterator[None]:
    """Draw how far a counter file is while the body runs; nothing where nobody watches.

    Parameters
    ----------
    path
        Its text begins ``done/total``; what an earlier run left does not count.
    is_shown
        False for JSON; a terminal that is none shows nothing either.
    """
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if not (is_shown and console.is_terminal):
        yield
        return
    path.unlink(missing_ok=True)
    stop = threading.Event()
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task(title, total=None)

        def follow() -> None:
            while not stop.wait(_POLL_SECONDS):
                counted = read_counter(path)
                if counted is not None:
                    bar.update(task, completed=counted[0], total=counted[1])

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def read_counter(path: Path) -> tuple[int, int] | None:
    """Read ``done/total`` from a counter file; None where there is none or it is being written."""
    try:
        words = path.read_text(encoding="utf-8").split(maxsplit=1)
    except FileNotFoundError:
        return None
    done, _, total = (words[0] if words else "").partition("/")
    return (int(done), int(total)) if done.isdigit() and total.isdigit() else None
