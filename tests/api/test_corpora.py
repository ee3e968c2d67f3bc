"""Every parameter of every path of the OpenAPI document, asked with what attackers send: no fault, no delay, nothing given away."""

from __future__ import annotations

import random
import time

import pytest
from corpora import TWINS, Place, asked, places, told

SECONDS = 1.0
PARTS = {"anonymous": slice(0, None, 3), "admin": slice(1, None, 9)}
"""A third of the texts is asked by nobody, a ninth by who may see everything; with `--whole-corpora` each asks all, everywhere."""


def ask(caller, place: Place, text: str):
    """The answer and how long it took; what was slow is asked again, for the machine may have been busy."""
    for _ in range(3):
        began = time.perf_counter()
        answer = caller.client.open(place.url(text), method=place.method.upper(), headers=caller.headers)
        seconds = time.perf_counter() - began
        if seconds < SECONDS:
            break
    return answer, seconds


def readable(answer) -> bool:
    kind = answer.mimetype or ""
    return kind.startswith("text/") or "json" in kind or "xml" in kind


@pytest.mark.parametrize("role", ["anonymous", "admin"])
def test_no_parameter_is_a_way_in(unthrottled, app, as_role, role, request):
    caller = as_role(role)
    found = places(caller.get("/openapi?f=json").json)
    assert len({place.shape for place in found}) > 60 and len({place.path for place in found}) > 100
    wrong, n, throttled = {}, 0, 0
    for place, text in asked(found, slice(None) if request.config.getoption("--whole-corpora") else PARTS[role]):
        if role == "admin" and place.path == "/d/{token}":
            continue  # the same for everybody, and counted
        answer, seconds = ask(caller, place, text)
        n += 1
        throttled += answer.status_code == 429 and not place.path.startswith("/d/")
        answer.close()
        given_away = told(answer.text, text) if readable(answer) else None
        said = [name for name, value in answer.headers if "Set-Cookie" in (name, value) or ("evil.example" in value and name == "Location")]
        if answer.status_code >= 500 or seconds >= SECONDS or given_away or said:
            wrong.setdefault(
                str(place.shape), (place.url(text)[:200], answer.status_code, round(seconds, 2), given_away or said or answer.text[:200])
            )
    assert throttled < n / 100, "most questions were never heard"
    assert not wrong, f"{len(wrong)} shapes of {n} questions: " + "\n".join(map(str, wrong.values()))


def judged(answer) -> tuple:
    """What the two of a pair must have in common; messages quote the caller, and name the operator of a filter that they miss."""
    body = answer.get_json(silent=True) or {}
    features = body.get("features")
    return answer.status_code, answer.mimetype, len(features) if isinstance(features, list) else None, body.get("numberMatched")


def test_true_and_false_are_answered_alike(unthrottled, app, as_role):
    caller = as_role("planner")
    found = places(caller.get("/openapi?f=json").json)
    chosen = list({place.shape: place for place in reversed(found)}.values())
    chosen += random.Random(2).sample(found, 40)
    told_apart = []
    for place in chosen:
        for true, false in TWINS:
            first, second = (judged(ask(caller, place, text)[0]) for text in (true, false))
            if first != second:
                told_apart.append((place.url(true)[:150], first, second))
    assert not told_apart, told_apart[:5]
