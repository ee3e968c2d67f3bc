"""Whatever is put into an input of a process: the answer is a mistake that is named, or an answer; a fault it is never."""

from __future__ import annotations

import json

import pytest

from gis import processes
from gis.api.process import runnable

NO_TEXTS = ('"a\\u0000b"', '["\\u0000"]', '"\\ud800"')
ABSURD = ('"9999-12-31"', '"0001-01-01"', "NaN", "9" * 400, '{"":[[]]}')


def test_no_input_of_a_process_is_a_way_to_a_fault(unthrottled, as_role):
    caller, wrong, n = as_role("admin"), [], 0
    for process in runnable("admin").values():
        for name in process.inputs.model_fields:
            given = "".join(f"{json.dumps(key)}:{json.dumps(value)}," for key, value in process.example.items() if key != name)
            for written in NO_TEXTS + ABSURD:
                body = f'{{"inputs":{{{given}{json.dumps(name)}:{written}}}}}'
                answer = caller.client.post(
                    f"/processes/{process.id}/execution", data=body, content_type="application/json", headers=caller.headers
                )
                n += 1
                if answer.status_code >= 500 or (written in NO_TEXTS and answer.status_code != 400):
                    wrong.append((process.id, name, written[:20], answer.status_code, answer.text[:150]))
    assert not wrong and n > 500, wrong[:10]


def test_a_day_at_the_end_of_time_is_named():
    inputs = processes.processes()["pipe-burst"].inputs
    for day in ("9999-12-31", "0999-12-31"):
        with pytest.raises(ValueError, match="as_of lies in the year"):
            inputs(network="city", pipe="P1", as_of=day)
    assert inputs(network="city", pipe="P1", as_of="9998-12-31").as_of.year == 9998
