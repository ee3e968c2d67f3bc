"""Who asks, in every form in which he may say so; and what an analysis told him, in the audit."""

from __future__ import annotations

from api_rows import PASSWORD, basic

from gis.access import accounts, rights
from gis.api.worker import Worker
from gis.db.connection import owner


def test_credentials_in_every_form(anyone):
    client = anyone.client
    accounts.add_user("li", "water", PASSWORD)
    key = accounts.new_key("li")
    pipes = "/collections/water_pipe"
    good = (basic("li"), {"Authorization": f"Bearer {key}"}, {"X-API-Key": key}, {"Authorization": f"bearer {key}"})
    for headers in good:
        assert client.get(pipes, headers=headers).status_code == 200, headers
    wrong = (
        basic("li", "wrong"),
        basic("nobody"),
        {"Authorization": "Bearer om_wrong"},
        {"X-API-Key": "钥匙"},
        {"Authorization": "Basic ???"},
        {"Authorization": "Basic"},
        {"Authorization": "Digest x"},
        {"X-API-Key": "x" * 5000},
        basic("li\0"),
        {"Authorization": "Negotiate"},
    )
    for headers in wrong:
        headers = {name: value.encode().decode("latin-1") for name, value in headers.items()}
        for path in ("/collections/road", pipes, "/collections/road/tiles/WebMercatorQuad/15/13306/27033"):
            answer = client.get(path, headers=headers)
            assert answer.status_code == 401 and answer.headers["WWW-Authenticate"].startswith("Basic"), headers
    assert client.get(pipes).status_code == 404, "the next request of the same thread is nobody's again"


def test_what_an_analysis_tells_of_restricted_layers_is_in_the_audit(water, as_role):
    """Also of a layer that only its inputs name, how many features and where, when it runs and when the result of a job is fetched."""
    run = "/processes/service-coverage/execution"
    inputs = {"facilities": "hydrant", "distance": 500}

    def told(action: str) -> list[tuple]:
        with owner() as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT user_name, n, detail -> 'layers' ? 'hydrant', detail -> 'layers' ? 'road', detail ->> 'job' FROM access.audit"
                " WHERE action = %s AND detail ->> 'process' = 'service-coverage' ORDER BY id",
                (action,),
            )
            return cursor.fetchall()

    before = len(told("process"))
    answer = water.post(run, json={"inputs": inputs})
    assert answer.status_code == 200 and answer.json["facilities"] == 1, answer.text
    assert told("process")[before:] == [("test-water", 1, True, True, None)]
    assert water.post(run, json={"inputs": inputs | {"facilities": "facility"}}).status_code == 200
    assert len(told("process")) == before + 1, "of public layers nothing is recorded"
    job = water.post(run, json={"inputs": inputs}, headers={"Prefer": "respond-async"}).json["jobID"]
    assert Worker("w").run_one()
    assert water.get(f"/jobs/{job}/results").json["facilities"] == 1
    assert told("result") == [("test-water", 1, True, True, job)]
    right = rights.add("user", "test-water", "hydrant", columns=("kind",))
    try:
        assert water.get(f"/jobs/{job}/results").status_code == 403
        for how in ({}, {"Prefer": "respond-async"}):
            assert water.post(run, json={"inputs": inputs}, headers=how).status_code == 403
            assert water.post(run, json={"inputs": inputs | {"facilities": "facility"}}, headers=how).status_code in (200, 201)
    finally:
        rights.remove(right)
    for name in ("anonymous", "gas"):
        hidden, never = (as_role(name).post(run, json={"inputs": inputs | {"facilities": layer}}) for layer in ("hydrant", "never_was"))
        said = [{name: text for name, text in one.json.items() if name != "requestId"} for one in (hidden, never)]
        assert hidden.status_code == never.status_code == 404 and said[0] == said[1]
