"""What a real QGIS makes of the platform. Run by the Python that has PyQGIS, not by ours, which may live in another root and see none of
our files: `conftest.py` sends the text of these modules (`desk_*`) and one question, both as JSON, and reads one answer. Nothing is judged
here: what QGIS saw is compared with the database by `test_qgis.py`."""

import json
import os
import sys
import time
import traceback

from desk_layers import edited, filters, logins, pages, positions, times
from desk_pictures import drawn, styles
from desk_project import opened
from desk_session import MESSAGES, REQUESTS, kept, plain
from qgis.core import Qgis, QgsApplication, QgsAuthMethodConfig, QgsNetworkAccessManager, QgsProject

VERBS = {1: "HEAD", 2: "GET", 3: "PUT", 4: "POST", 5: "DELETE", 6: "CUSTOM"}


def log_in(asked) -> dict:
    """Credentials as a planner keeps them: in QGIS's encrypted store, under an id."""
    manager = QgsApplication.authManager()
    manager.setMasterPassword("only for this test", True)
    stored = {}
    for one in asked["credentials"]:
        if one["method"] not in manager.authMethodsKeys():
            continue
        config = QgsAuthMethodConfig(one["method"])
        config.setId(one["id"])
        config.setName(one["id"])
        for name, value in one["values"].items():
            config.setConfig(name, value)
        answer = manager.storeAuthenticationConfig(config)
        stored[one["id"]] = answer[0] if isinstance(answer, tuple) else answer
    return stored


def answers(asked) -> dict:
    found = {"version": Qgis.QGIS_VERSION_INT, "stored": log_in(asked), "seconds": {}}
    parts = {
        "logins": lambda: logins(asked),
        "project": lambda: opened(asked["project"]),
        "times": lambda: times(asked),
        "pictures": lambda: [drawn(one) for one in asked["pictures"]],
        "positions": lambda: positions(asked),
        "pages": lambda: pages(asked),
        "filters": lambda: filters(asked),
        "styles": lambda: styles(asked),
        "postgis": lambda: opened(asked["postgis"]),
        "database_picture": lambda: drawn(asked["database_picture"]),
        "edits": lambda: [edited(asked, one) for one in asked["edits"]],
        "surveyed": lambda: edited(asked, asked["surveyed"]) | {"place": asked["surveyed"]["place"]},
    }
    for name, part in parts.items():
        if name not in asked.get("parts", parts):
            continue
        began = time.monotonic()
        try:
            found[name] = part()
        except Exception:  # what went wrong in one part is told by the test that needs it
            found[name] = {"failed": traceback.format_exc()}
        found["seconds"][name] = round(time.monotonic() - began, 2)
    return found


def answer(asked) -> None:
    """Start QGIS, do what is asked, print the answer behind the marker."""
    kept("pg_service.conf", asked["services"].encode())
    QgsApplication.setPrefixPath("/usr", True)
    application = QgsApplication([], False)
    application.initQgis()
    QgsNetworkAccessManager.instance().requestAboutToBeCreated["QgsNetworkRequestParameters"].connect(
        lambda one: REQUESTS.append([VERBS.get(int(one.operation()), "?"), one.request().url().toString()])
    )
    QgsApplication.messageLog().messageReceived.connect(lambda text, tag, level: MESSAGES.append([tag, int(level), text]))
    found = answers(asked)
    QgsProject.instance().clear()
    print(asked["marker"])
    print(json.dumps(found, default=plain))
    sys.stdout.flush()
    os._exit(0)  # QGIS's own end is slow and, without a display, not always a good one
