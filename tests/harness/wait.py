"""Waiting with an end. A test never sleeps and hopes: it names what it waits for."""
import time


def until(what, check, seconds=10.0, every=0.02):
    """Calls check() until it returns something true, and returns that."""
    deadline = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain: {what} (last: {value!r})")
        time.sleep(every)
