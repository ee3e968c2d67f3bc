"""One's own account and the audit over HTTP, CORS, limits and proxies: what surrounds every request."""

from __future__ import annotations

import csv
import io
import json
import threading

import pytest
from api_rows import put
from asking import PASSWORD, basic, rows

from gis.access import accounts, audit, identity, limits
from gis.api import envelope
from gis.api.app import create_app
from gis.errors import DefinitionError

NEW = "Green-hill-2025x"


@pytest.fixture
def client(fresh):
    for layer in ("water_pipe", "address"):
        put(layer, {})
    return create_app().test_client()


def keyed(name: str, role: str, **headers) -> dict:
    accounts.add_user(name, role)
    return {"X-API-Key": accounts.new_key(name)} | headers


def test_a_password_that_must_be_changed_opens_nothing_else(client):
    accounts.add_user("li", "water", PASSWORD, must_change=True)
    old = {"Authorization": basic("li", PASSWORD)}
    for path in ("/", "/collections/water_pipe/items", "/account"):
        answer = client.get(path, headers=old)
        assert answer.status_code == 403 and "/account/password" in answer.json["remedy"]
    assert "<form" in client.get("/account/password", headers=old).text
    for body, status in (
        ({"user": "li", "old": "wrong", "new": NEW}, 401), ({"user": "li", "old": PASSWORD, "new": "short"}, 400),
        ({"user": "li", "old": PASSWORD, "new": PASSWORD + "x"}, 400), ({"user": "li", "old": PASSWORD}, 400), ([], 400),
        ({"user": "li", "old": PASSWORD, "new": 7}, 400), ({"user": "li\0", "old": PASSWORD, "new": NEW}, 400),
        ({"user": "\ud800", "old": PASSWORD, "new": NEW}, 400),
    ):  # fmt: skip
        assert client.post("/account/password", json=body).status_code == status, body
    assert client.post("/account/password", data=b"{", content_type="application/json").status_code == 400
    assert client.post("/account/password", data=b"x" * 10_000).status_code == 400
    form = {"user": "li", "old": PASSWORD, "new": NEW}
    assert "修改" in client.post("/account/password", data=form, headers={"Accept": "text/html"}).text
    assert client.get("/collections/water_pipe/items", headers=old).status_code == 401
    new = {"Authorization": basic("li", NEW)}
    assert client.get("/collections/water_pipe/items", headers=new).status_code == 200
    mine = client.get("/account", headers=new).json
    assert (mine["user"], mine["role"]) == ("li", "water") and mine["password_expires_at"] and mine["last_login_at"]
    assert client.get("/account").status_code == 401


def test_who_changes_his_password_all_the_time_waits(client, monkeypatch):
    """Before this path nobody is looked up, so no other limit holds, and each try takes the work of a log-in."""
    accounts.add_user("li", "water", PASSWORD)
    monkeypatch.setattr(limits, "FAILURES_ALLOWED", 3)
    body, place = {"user": "li", "old": PASSWORD, "new": "weak"}, {"REMOTE_ADDR": "10.1.2.3"}
    answers = [client.post("/account/password", json=body, environ_overrides=place).status_code for _ in range(5)]
    assert answers[:3] == [400] * 3 and answers[4] == 429
    assert client.post("/account/password", json=body, environ_overrides={"REMOTE_ADDR": "10.1.2.4"}).status_code == 400


def test_a_session_ends_when_told_or_unused_and_everywhere_at_once(client):
    accounts.add_user("li", "water", PASSWORD)
    login = {"Authorization": basic("li", PASSWORD)}
    begun = client.post("/account/session", headers=login)
    assert begun.status_code == 201 and begun.json["session"].startswith("os_")
    session = {"Authorization": f"Bearer {begun.json['session']}"}
    assert client.post("/account/session", headers=session).status_code == 400, "a session begets none"
    assert client.get("/account", headers=session).json["user"] == "li"
    assert client.delete("/account/session", headers=login).status_code == 404
    assert client.delete("/account/session", headers=session).status_code == 204
    assert client.get("/account", headers=session).status_code == 401
    for change in (
        "UPDATE access.key SET last_used_at = now() - interval '31 minutes'", "UPDATE access.key SET expires_at = now()",
    ):  # fmt: skip
        session = {"X-API-Key": client.post("/account/session", headers=login).json["session"]}
        assert client.get("/account", headers=session).status_code == 200
        rows(change)
        identity.forget()
        assert client.get("/account", headers=session).status_code == 401
    session = {"X-API-Key": client.post("/account/session", headers=login).json["session"]}
    accounts.set_password("li", NEW, must_change=False)
    assert client.get("/account", headers=session).status_code == 401, "another password ends the sessions of before"
    begun, ended = (rows("SELECT user_name, role FROM access.audit WHERE action = %s", (f"session {what}",)) for what in ("begun", "ended"))
    assert set(begun) == {("li", "water")} and ended == [("li", "water")]
    rows("UPDATE access.key SET expires_at = now() - interval '2 days' WHERE revoked_at IS NULL")
    rows("UPDATE access.key SET revoked_at = now() - interval '2 days' WHERE revoked_at IS NOT NULL")
    kept = accounts.new_key("li")
    rows("UPDATE access.key SET expires_at = now() - interval '2 days' WHERE kind = 'key'")
    client.post("/account/session", headers={"Authorization": basic("li", NEW)})
    assert rows("SELECT kind FROM access.key ORDER BY id") == [("key",), ("session",)] and kept, "what is long over goes, keys stay listed"


def test_the_auditor_reads_the_audit_and_nobody_else(client):
    water = keyed("water-1", "water", **{"X-Request-Id": "abc-1"})
    place = {"bbox": "116.9,31.9,117.1,32.1"}
    assert client.get("/collections/water_pipe/items", headers=water, query_string=place).status_code == 200
    assert client.get("/collections/address/items", headers=water).status_code == 200
    for role in ("water", "planner", "admin", "security"):
        headers = keyed(f"one-{role}", role)
        for path in ("/audit", "/audit?f=csv", "/audit/areas"):
            assert client.get(path, headers=headers).status_code == client.get("/no-such-path", headers=headers).status_code == 404
    assert client.get("/audit").status_code == 404
    auditor = keyed("auditor-1", "auditor")
    assert client.get("/collections/water_pipe/items", headers=auditor).status_code == 404, "the audit, and what anybody sees"
    (one,) = client.get("/audit?action=items", headers=auditor).json["entries"]
    assert (one["user"], one["layer"], one["n"]) == ("water-1", "water_pipe", 1)
    assert (
        one["detail"]["request"] == "abc-1"
        and one["detail"]["address"] == "127.0.0.1"
        and one["detail"]["bbox"] == [116.9, 31.9, 117.1, 32.1]
    )
    for query, found in (
        ("user=water-1", 1), ("user=nobody", 0), ("layer=water_pipe&action=items", 1), ("since=2020-01-01&action=items", 1),
        ("until=2020-01-01", 0),
        ("bbox=117,32,117.01,32.01", 1), ("bbox=118,32,119,33", 0), ("since=2020-01-01T00:00:00Z&user=water-1&until=2999-01-01", 1),
    ):  # fmt: skip
        assert len(client.get(f"/audit?{query}", headers=auditor).json["entries"]) == found, query
    first = client.get("/audit?limit=1", headers=auditor).json
    second = client.get(first["links"][0]["href"].split("/", 3)[3].join(("/", "")), headers=auditor).json
    assert second["entries"][0]["id"] < first["entries"][0]["id"]
    for wrong in ("limit=0", "limit=99999", "limit=x", "before=-1", "since=yesterday", "bbox=1,2,3", "bbox=nan,0,0,0", "f=xml", "where=1"):
        assert client.get(f"/audit?{wrong}", headers=auditor).status_code == 400, wrong
    audit.record(identity.Identity("=1+1", "water"), "items", "water_pipe", n=1)
    table = list(csv.reader(io.StringIO(client.get("/audit?f=csv&limit=1", headers=auditor).get_data().decode("utf-8-sig"))))
    assert table[0][2] == "user" and table[1][2] == "'=1+1"
    area = {(one["user"], one["layer"]): one for one in client.get("/audit/areas", headers=auditor).json["areas"]}["water-1", "water_pipe"]
    assert area["over"] and 400 < area["area_km2"] < 450, "a fifth of a degree either way"
    assert client.get("/audit/areas?above=500&user=water-1", headers=auditor).json["areas"][0]["over"] is False
    assert client.get("/audit/areas?above=x", headers=auditor).status_code == 400
    assert client.get("/audit/areas?f=csv", headers=auditor).mimetype == "text/csv"


def test_a_refusal_does_not_wait_for_the_audit(client, monkeypatch):
    """By its time nobody tells what is hidden from what never was: where the platform serves, the row is written beside the answer."""
    gas, may_write, written = keyed("gas-2", "gas"), threading.Event(), threading.Event()

    def slow(*_, **__):
        assert may_write.wait(5)
        written.set()

    monkeypatch.setattr(envelope, "_beside", None)
    envelope.begin_worker()
    monkeypatch.setattr(audit, "record", slow)
    assert client.get("/collections/water_pipe/items", headers=gas).status_code == 404 and not written.is_set()
    may_write.set()
    assert written.wait(5)


def test_who_tries_what_is_not_for_him_is_in_the_audit(client):
    gas = keyed("gas-1", "gas")
    for path in ("/collections/water_pipe/items", "/collections/water_pipe", "/styles/water_pipe", "/collections/address/items/none"):
        assert client.get(path, headers=gas).status_code == 404
        assert client.get(path).status_code == 404
    found = rows("SELECT user_name, layer, detail ->> 'path' FROM access.audit WHERE action = 'refused'")
    assert found == [("gas-1", "water_pipe", "/collections/water_pipe/items")], "once a minute; nobody's tries stand in the log"


def test_what_cannot_be_recorded_is_not_answered(client, chosen):
    water = keyed("water-1", "water")
    assert client.get("/collections/water_pipe/items", headers=water).status_code == 200
    chosen(audit_wait_s=0.3)
    rows("REVOKE INSERT ON access.audit FROM onemap_identity")
    try:
        answer = client.get("/collections/water_pipe/items", headers=water)
        assert answer.status_code in (403, 503) and "features" not in answer.json
        assert client.get("/collections/address/items", headers=water).status_code == 200, "what is public needs no line"
    finally:
        rows("GRANT INSERT ON access.audit TO onemap_identity")
    assert client.get("/collections/water_pipe/items", headers=water).status_code == 200


def test_a_caller_who_asks_too_fast_is_told_to_wait(client, chosen):
    fast = keyed("fast", "water")
    chosen(rate_per_s=0.5, rate_per_s_anonymous=0.3)
    identity.forget()
    statuses = [client.get("/collections/address/items/x", headers=fast).status_code for _ in range(7)]
    assert statuses.count(429) == 2 and statuses[-1] == 429
    refused = client.get("/collections?f=json", headers=fast)
    assert refused.mimetype == "application/problem+json" and refused.json["code"] == "TooManyRequests"
    assert 1 <= int(refused.headers["Retry-After"]) <= 20
    assert client.get("/health/live", headers=fast).status_code == 200
    assert client.get("/collections", headers=keyed("slow", "water")).status_code == 200, "another caller is another"
    accounts.allow("user:fast", rate_per_s=0)
    assert client.get("/collections", headers=fast).status_code == 200, "an exception holds at once"
    chosen(trusted_proxies="127.0.0.1")
    one, two = {"X-Forwarded-For": "6.6.6.6, 10.0.0.1"}, {"X-Forwarded-For": "10.0.0.2"}
    assert [client.get("/collections", headers=one).status_code for _ in range(5)] == [200, 200, 200, 429, 429]
    assert client.get("/collections", headers={"X-Forwarded-For": "7.7.7.7, 10.0.0.1"}).status_code == 429, (
        "what a client made up changes nothing"
    )
    assert client.get("/collections", headers=two).status_code == 200


def test_what_a_proxy_says_is_believed_of_trusted_ones_only(client, chosen):
    told = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "map.example.org", "X-Forwarded-For": "10.9.8.7"}
    assert "map.example.org" not in client.get("/?f=json", headers=told).text
    chosen(trusted_proxies="127.0.0.0/8")
    answer = client.get("/?f=json", headers=told)
    assert "https://map.example.org/" in answer.text and answer.headers["Strict-Transport-Security"]
    assert "Strict-Transport-Security" not in client.get("/?f=json").headers
    water = keyed("w", "water", **told)
    client.get("/collections/water_pipe/items", headers=water)
    assert audit.entries(action="items", limit=1)[0]["detail"]["address"] == "10.9.8.7"
    odd = told | {"X-Forwarded-Host": "evil/../x", "X-Forwarded-Proto": "gopher", "X-Forwarded-For": "no address"}
    assert client.get("/?f=json", headers=odd).status_code == 200 and "evil" not in client.get("/?f=json", headers=odd).text
    chosen(trusted_proxies="everybody")
    with pytest.raises(DefinitionError):
        create_app()


def test_pages_of_other_origins_may_ask_where_they_are_listed(client, chosen):
    page, other = "https://desk.example.org", "https://desk.example.org.evil.example"
    ask = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    path = "/collections/address/items"

    def cross(answer) -> dict:
        return {name: value for name, value in answer.headers if name.startswith("Access-Control")}

    assert not cross(client.get(path, headers={"Origin": page})) and not cross(client.options(path, headers={"Origin": page} | ask))
    chosen(cors_origins=f"{page}, http://10.0.0.5:8080")
    for wrong in (other, "null", "http://desk.example.org", "https://DESK.example.org", ""):
        assert not cross(client.get(path, headers={"Origin": wrong})) and not cross(client.options(path, headers={"Origin": wrong} | ask))
    for answer in (client.get(path, headers={"Origin": page}), client.get("/no-such-path", headers={"Origin": page})):
        assert answer.headers["Access-Control-Allow-Origin"] == page and "Origin" in answer.headers["Vary"]
        assert "Access-Control-Allow-Credentials" not in answer.headers
    hidden, never = (client.options(f"/collections/{name}/items", headers={"Origin": page} | ask) for name in ("water_pipe", "never"))
    assert hidden.status_code == never.status_code == 204 and cross(hidden) == cross(never)
    assert "Authorization" in hidden.headers["Access-Control-Allow-Headers"]
    assert client.get(path, headers={"Origin": page, "X-API-Key": "om_wrong"}).headers["Access-Control-Allow-Origin"] == page
    chosen(cors_origins="*")
    anybody = client.options(path, headers={"Origin": other} | ask)
    assert anybody.headers["Access-Control-Allow-Origin"] == "*" and "Authorization" not in anybody.headers["Access-Control-Allow-Headers"]
    for wrong in ("https://desk.example.org/path", "desk.example.org", "https://*.example.org", "null"):
        chosen(cors_origins=wrong)
        with pytest.raises(DefinitionError):
            create_app()


def test_what_a_page_of_another_site_sends_with_the_browsers_password_is_refused(client, chosen):
    """A browser that knows the password sends it with a form of any page: nothing is changed or started so."""
    accounts.add_user("li", "water", PASSWORD)
    sent = {"Authorization": basic("li", PASSWORD), "Content-Type": "text/plain"}
    page, own = "https://desk.example.org", "http://localhost"
    run, question = "/processes/geocode/execution", '{"inputs": {"text": "x"}}'

    def posted(path: str = run, **headers) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.post(path, data=question, headers=sent | named).status_code

    foreign = ({"Origin": page}, {"Origin": "null"}, {"Sec_Fetch_Site": "cross-site"}, {"Origin": own, "Sec_Fetch_Site": "cross-site"},
               {"Origin": page, "Sec_Fetch_Site": "same-site"})  # fmt: skip
    for headers in foreign:
        for path in (run, "/account/session", "/collections/water_pipe/items"):
            assert posted(path, **headers) == 403, (path, headers)
        assert client.delete("/collections/water_pipe/items/x", headers=sent | headers).status_code == 403
        assert client.get("/collections/water_pipe/items", headers=sent | headers).status_code == 200, (
            "what only reads tells the page nothing"
        )
    for headers in (
        {},
        {"Origin": own},
        {"Origin": own, "Sec_Fetch_Site": "same-origin"},
        {"Origin": page, "Sec_Fetch_Site": "same-origin"},
    ):
        assert posted(**headers) != 403, headers
    key = {"X-API-Key": accounts.new_key("li"), "Origin": page, "Sec-Fetch-Site": "cross-site"}
    assert client.post(run, data=question, headers=key).status_code != 403, "a page has a key only from its user"
    chosen(cors_origins="*")
    assert posted(Origin=page) == 403
    chosen(cors_origins=page)
    assert posted(Origin=page, Sec_Fetch_Site="cross-site") != 403
    chosen(cors_origins="", public_url="https://map.example.org")
    assert posted(Origin="https://map.example.org") != 403


def test_the_account_is_in_the_document_and_the_audit_is_not(client):
    document = client.get("/openapi?f=json").text
    assert '"/account/password"' in document and '"/audit' not in document
    assert json.loads(document)["paths"]["/account/session"].keys() == {"post", "delete"}


def test_a_file_holds_as_much_as_its_caller_may_have(client, chosen):
    water = keyed("water-1", "water")
    put("water_pipe", {"pipe_id": "second"})
    path = "/collections/water_pipe/download?f=csv"
    assert client.get(path, headers=water).status_code == 200
    accounts.allow("role:water", file_rows=1)
    refused = client.get(path, headers=water)
    assert refused.status_code == 400 and "more than 1 features" in refused.json["detail"]
    assert client.get(f"{path}&pipe_id=second", headers=water).status_code == 200
    accounts.allow("user:water-1", file_rows=0)
    assert client.get(path, headers=water).status_code == 200


def test_what_is_being_answered_counts_until_it_is_sent(client, chosen):
    water = keyed("water-1", "water")
    accounts.allow("role:water", heavy_at_once=1, at_once=2)
    path = "/collections/water_pipe/download?f=csv"
    sent = client.get(path, headers=water, buffered=False)
    assert client.get(path, headers=water).status_code == 429, "the first is not read yet"
    assert client.get("/collections", headers=water).status_code == 200
    sent.close()
    for _ in range(5):
        assert client.get(path, headers=water, buffered=True).status_code == 200
    assert client.get("/collections/water_pipe/download?f=nonsense", headers=water).status_code == 400
    assert client.get(path, headers=water, buffered=True).status_code == 200, "what went wrong is not counted for ever"
