"""Whatever is asked, within what the OpenAPI document says and just beside it, the answer is never a fault of the platform."""

from __future__ import annotations

import random
import time

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings

SECONDS = 15
"""For each role; operations are taken in an order of their own, so that every run asks the same ones first."""
ASKED = settings(max_examples=5, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))


def questions(schema) -> list:
    """The operations of a document, shuffled; a reference that leads nowhere fails here."""
    operations = [found.ok() for found in schema.get_all_operations()]
    random.Random(1).shuffle(operations)
    return operations


@pytest.mark.parametrize("role", ["anonymous", "admin"])
def test_no_question_is_answered_by_a_fault(unthrottled, app, as_role, role):
    headers = as_role(role).headers
    schema = schemathesis.openapi.from_wsgi("/openapi?f=json", app, headers=headers)
    until, asked = time.monotonic() + SECONDS, 0
    for operation in questions(schema):
        if time.monotonic() > until:
            break

        @seed(1)
        @ASKED
        @given(case=operation.as_strategy())
        def ask(case):
            response = case.call(headers=headers)
            assert response.status_code < 500, (response.status_code, case.as_curl_command())

        ask()
        asked += 1
    assert asked > 20, "too few operations were asked to say anything"
