"""What happens while QGIS works: the requests that it makes and what it says, the files that it is given."""

import os

from qgis.PyQt.QtCore import QCoreApplication, QDate, QDateTime, Qt

REQUESTS: list = []
MESSAGES: list = []


def settled() -> None:
    """Requests are made in other threads; what they tell this one waits in its queue."""
    for _ in range(20):
        QCoreApplication.processEvents()


def requests_of(work):
    """What the work returns, and the requests that it made."""
    settled()
    REQUESTS.clear()
    found = work()
    settled()
    return found, list(REQUESTS)


def plain(value):
    """A value of QGIS as JSON has it."""
    if value is None or str(value) == "NULL":
        return None
    if isinstance(value, QDate):
        return value.toString(Qt.ISODate)
    if isinstance(value, QDateTime):
        return value.toString(Qt.ISODate)
    return value if isinstance(value, (bool, int, float, str)) else str(value)


def kept(name: str, content: bytes) -> str:
    """The path of a file with this content."""
    path = os.path.join(os.environ["HOME"], name)
    with open(path, "wb") as file:
        file.write(content)
    return path
