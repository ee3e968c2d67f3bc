"""Tokens of an identity provider: what is taken, and everything that must not be."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time

import pytest
from asking import PASSWORD, Issuer, basic, rows
from joserfc import jwk, jws

from gis.access import accounts, identity, oidc
from gis.access.identity import Identity, identify
from gis.errors import AccessDenied, DefinitionError, StoreError

AUDIENCE = "onemap"
ROLES = {"dept-water": "water", "dept-plan": "planner", "sec": "security", "aud": "auditor"}


@pytest.fixture(scope="module")
def keys() -> dict:
    """One key of each kind, made for this run."""
    return {
        "RS256": jwk.RSAKey.generate_key(2048, {"kid": "r1", "use": "sig"}),
        "ES256": jwk.ECKey.generate_key("P-256", {"kid": "e1"}),
        "EdDSA": jwk.OKPKey.generate_key("Ed25519", {"kid": "o1"}),
        "other": jwk.RSAKey.generate_key(2048, {"kid": "r1"}),
        "next": jwk.RSAKey.generate_key(2048, {"kid": "r2"}),
    }


@pytest.fixture
def issuer(fresh, chosen, keys):
    one = Issuer()
    one.keys = [keys[name].as_dict(private=False) for name in ("RS256", "ES256", "EdDSA")]
    chosen(oidc_issuer=one.url, oidc_audience=AUDIENCE, oidc_roles=json.dumps(ROLES), oidc_department_claim="ou")
    identity.forget()
    yield one
    one.close()


def claims(issuer: Issuer, **changed) -> dict:
    now = int(time.time())
    made = {
        "iss": issuer.url,
        "aud": AUDIENCE,
        "sub": "zhang",
        "iat": now,
        "exp": now + 600,
        "roles": ["dept-water", "mail"],
        "ou": "供水公司",
    }
    return {name: value for name, value in (made | changed).items() if value is not ...}


def token(key, payload: dict, algorithm: str = "RS256", **header) -> str:
    header = {"alg": algorithm, "kid": key.kid} | header
    header = {name: value for name, value in header.items() if value is not ...}
    registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    return jws.serialize_compact(header, json.dumps(payload).encode(), key, registry=registry)


def raw(header: dict, payload: dict, signature: bytes = b"") -> str:
    parts = [json.dumps(header).encode(), json.dumps(payload).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def refused(value: str) -> None:
    with pytest.raises(AccessDenied) as denied:
        identify(f"Bearer {value}")
    assert denied.value.http_status == 401
    assert value not in str(denied.value)


def test_a_token_of_the_issuer_is_taken(issuer, keys):
    for algorithm in ("RS256", "PS256", "ES256", "EdDSA"):
        key = keys.get(algorithm, keys["RS256"])
        assert identify(f"Bearer {token(key, claims(issuer), algorithm)}").department == "供水公司"
        found = identify(f"Bearer {token(key, claims(issuer, aud=['x', AUDIENCE], roles='mail dept-plan', ou=''), algorithm)}")
        assert found == Identity("oidc:zhang", "planner")


def test_the_log_in_is_recorded_and_the_user_can_be_shut_out(issuer, keys):
    one = token(keys["RS256"], claims(issuer))
    assert identify(f"Bearer {one}", address="10.1.2.3").user == "oidc:zhang"
    assert rows("SELECT user_name, role, action, detail ->> 'address' FROM access.audit") == [("oidc:zhang", "water", "login", "10.1.2.3")]
    listed = {user["name"]: user for user in accounts.users()}
    assert listed["oidc:zhang"]["role"] == "water" and listed["oidc:zhang"]["last_login_from"] == "10.1.2.3"
    accounts.disable_user("oidc:zhang")
    refused(one)
    accounts.enable_user("oidc:zhang")
    assert identify(f"Bearer {one}").role == "water"


def test_what_is_not_signed_by_the_issuer_is_refused(issuer, keys):
    key, payload = keys["RS256"], claims(issuer)
    good = token(key, payload)
    assert identify(f"Bearer {good}")
    head, body, signature = good.split(".")
    refused(token(keys["other"], payload))
    refused(f"{head}.{raw({}, claims(issuer, roles=['dept-plan'])).split('.')[1]}.{signature}")
    refused(f"{head}.{body}.")
    refused(f"{head}.{body}.{signature[:-6]}AAAAAA")
    for none in ("none", "None", "NONE", "nOnE", ""):
        refused(raw({"alg": none, "kid": "r1"}, payload))
        refused(raw({"alg": none, "kid": "r1"}, payload, b"x"))
    refused(raw({"kid": "r1"}, payload, b"x"))
    # the public key as a secret: every form that a library may make of it
    public = key.as_dict(private=False)
    for secret in (key.as_pem(private=False), key.as_pem(private=False).strip(), json.dumps(public).encode(), public["n"].encode()):
        for algorithm, function in (("HS256", hashlib.sha256), ("HS512", hashlib.sha512)):
            unsigned = raw({"alg": algorithm, "kid": "r1"}, payload).rsplit(".", 1)[0]
            sealed = base64.urlsafe_b64encode(hmac.digest(secret, unsigned.encode(), function)).rstrip(b"=").decode()
            refused(f"{unsigned}.{sealed}")
    # a key that the token brings along, and what a critical header would ask for
    mine = keys["other"]
    for header in (
        {"jwk": mine.as_dict(private=False)}, {"jku": f"{issuer.url}/mine"}, {"x5u": f"{issuer.url}/mine"},
        {"typ": "JWE"}, {"typ": "logout+jwt"},
    ):  # fmt: skip
        refused(token(mine, payload, **header))
    refused(raw({"alg": "RS256", "kid": "r1", "crit": ["b64"]}, payload, b"x"))
    # one kind of key named for the algorithm of another
    refused(token(keys["EdDSA"], payload, "EdDSA", kid="r1"))
    refused(token(keys["ES256"], payload, "ES256", kid="o1"))


def wrong_claims() -> list[dict]:
    now = int(time.time())
    return [
        {"aud": "another"}, {"aud": ["another"]}, {"aud": ...}, {"aud": []}, {"aud": {"onemap": 1}}, {"aud": "onemap2"},
        {"iss": "http://127.0.0.1:1"}, {"iss": ...}, {"iss": ["x"]},
        {"exp": now - 60}, {"exp": ...}, {"exp": "2999-01-01"}, {"exp": True}, {"exp": 10**30}, {"exp": float("inf")},
        {"exp": float("nan")}, {"iat": ...}, {"iat": now + 3600}, {"iat": "now"}, {"nbf": now + 3600}, {"nbf": "x"},
        {"iat": 1, "exp": now + 600},
        {"sub": ...}, {"sub": ""}, {"sub": 7}, {"sub": "a b"}, {"sub": "x" * 300}, {"sub": "a\nb"}, {"sub": ["zhang"]},
        {"roles": ...}, {"roles": []}, {"roles": ["mail"]}, {"roles": "admin"}, {"roles": ["water"]}, {"roles": {"dept-water": 1}},
        {"roles": ["dept-water", "dept-plan"]}, {"roles": ["sec", "aud"]}, {"roles": [["dept-water"]]}, {"roles": 7},
        {"ou": 7}, {"ou": "x" * 101},
    ]  # fmt: skip


def test_a_claim_that_is_not_as_it_must_be_is_refused(issuer, keys):
    for changed in wrong_claims():
        identity.forget()
        with pytest.raises(AccessDenied) as denied:
            raise AssertionError(f"taken: {changed}, {identify(f'Bearer {token(keys["RS256"], claims(issuer, **changed))}')}")
        assert denied.value.http_status == 401
    assert len(rows("SELECT 1 FROM access.audit WHERE action = 'login refused'")) == len(wrong_claims())


def test_clocks_may_differ_a_little(issuer, keys):
    now = int(time.time())
    assert identify(f"Bearer {token(keys['RS256'], claims(issuer, iat=now + 10, nbf=now + 10))}")
    assert identify(f"Bearer {token(keys['RS256'], claims(issuer, exp=now - 10))}")


def test_keys_are_found_by_their_name_and_asked_for_again_at_most_once_a_minute(issuer, keys, monkeypatch):
    assert identify(f"Bearer {token(keys['RS256'], claims(issuer))}")
    asked = issuer.asked.count("/keys")
    assert asked == 1
    for name in ("r2", "r3", "../../etc/passwd", "' OR 1=1 --", "x" * 1000):
        refused(token(keys["next"], claims(issuer), kid=name))
    refused(raw({"alg": "RS256", "kid": 7}, claims(issuer), b"x"))
    assert issuer.asked.count("/keys") == asked, "an unknown key makes nobody ask before a minute is over"
    issuer.keys.append(keys["next"].as_dict(private=False))
    later = time.monotonic() + oidc.FETCHED_AGAIN_S + 1
    monkeypatch.setattr(oidc.time, "monotonic", lambda: later)
    assert identify(f"Bearer {token(keys['next'], claims(issuer))}"), "the issuer has a new key"
    assert issuer.asked.count("/keys") == asked + 1
    # without a name the only key of the kind; two of a kind are a guess
    assert identify(f"Bearer {token(keys['ES256'], claims(issuer), 'ES256', kid=...)}")
    refused(token(keys["RS256"], claims(issuer), kid=...))
    # a key that the issuer took back is no more believed after its time
    issuer.keys = [keys["next"].as_dict(private=False)]
    much_later = later + oidc.KEYS_LIVE_S + 1
    monkeypatch.setattr(oidc.time, "monotonic", lambda: much_later)
    refused(token(keys["RS256"], claims(issuer, sub="li")))


def test_a_secret_among_the_issuers_keys_signs_nothing(issuer, keys):
    issuer.keys = [{"kty": "oct", "k": "c2VjcmV0", "kid": "s1"}, keys["RS256"].as_dict(private=False)]
    unsigned = raw({"alg": "HS256", "kid": "s1"}, claims(issuer)).rsplit(".", 1)[0]
    refused(f"{unsigned}.{base64.urlsafe_b64encode(hmac.digest(b'secret', unsigned.encode(), hashlib.sha256)).rstrip(b'=').decode()}")
    assert identify(f"Bearer {token(keys['RS256'], claims(issuer))}")


def test_keys_come_from_a_file_or_from_the_issuers_own_host_only(issuer, keys, chosen, tmp_path):
    good = token(keys["RS256"], claims(issuer))
    stranger = Issuer()
    stranger.keys = issuer.keys
    try:
        issuer.elsewhere = f"{stranger.url}/keys"
        with pytest.raises(StoreError):
            identify(f"Bearer {good}")
        issuer.elsewhere, issuer.redirects = None, True
        identity.forget()
        with pytest.raises(StoreError):
            identify(f"Bearer {good}")
        assert not stranger.asked and "/other" not in issuer.asked
    finally:
        stranger.close()
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": issuer.keys}))
    issuer.asked.clear()
    chosen(oidc_keys=file)
    identity.forget()
    assert identify(f"Bearer {good}").role == "water" and not issuer.asked
    file.write_text("no JSON")
    identity.forget()
    with pytest.raises(StoreError):
        identify(f"Bearer {good}")


def test_no_token_becomes_a_local_user(issuer, keys):
    accounts.add_user("zhang", "admin", PASSWORD)
    found = identify(f"Bearer {token(keys['RS256'], claims(issuer))}")
    assert (found.user, found.role) == ("oidc:zhang", "water")
    assert identify(basic("zhang", PASSWORD)).role == "admin"
    for name in ("oidc:zhang", "oidc:zhang:x"):
        with pytest.raises(AccessDenied):
            identify(basic(name, PASSWORD))


def test_what_is_no_token_is_refused(issuer):
    for value in ("..", "a.b.c", "eyJ.eyJ.x", "é.b.c", "[].e30.x", "W10.e30.eA", "bnVsbA.e30.eA", "...", "[" * 3000 + ".e30.x"):
        refused(value)


def test_huge_and_deep_tokens_are_refused_at_once(issuer, keys):
    begun = time.perf_counter()
    refused(token(keys["RS256"], claims(issuer, filler="x" * 20_000)))
    deep = base64.urlsafe_b64encode(b"[" * 5000).rstrip(b"=").decode()
    refused(f"{deep}.e30.eA")
    refused(raw({"alg": "RS256", "kid": "r1", "p2c": 10**9}, claims(issuer), b"x" * 3000))
    assert time.perf_counter() - begun < 1
    assert rows("SELECT count(*) FROM access.audit WHERE action = 'login refused' AND user_name <> ''") == [(0,)], (
        "nobody vouched for a name"
    )


def test_a_remembered_token_ends_when_it_expires(issuer, keys, monkeypatch):
    now = int(time.time())
    one = token(keys["RS256"], claims(issuer, exp=now - oidc.LEEWAY_S + 2))
    assert identify(f"Bearer {one}")
    time.sleep(2.1)
    refused(one)


@pytest.mark.parametrize(
    "wrong",
    [
        {"oidc_algorithms": "HS256"}, {"oidc_algorithms": "RS256,none"}, {"oidc_algorithms": ","}, {"oidc_audience": ""},
        {"oidc_roles": "{}"},
        {"oidc_roles": '{"x": "root"}'}, {"oidc_roles": '{"x": "anonymous"}'}, {"oidc_keys": "http://elsewhere.example/keys"},
        {"oidc_issuer": "the-bureau"},
    ],
    ids=str,
)  # fmt: skip
def test_settings_that_would_take_too_much_are_refused_at_the_start(chosen, wrong):
    chosen(oidc_issuer="https://id.example", oidc_audience="onemap", oidc_roles='{"w": "water"}')
    oidc.require_settings()
    chosen(**wrong)
    with pytest.raises(DefinitionError):
        oidc.require_settings()


def test_without_an_issuer_no_token_is_looked_at(fresh, keys):
    with pytest.raises(AccessDenied):
        identify("Bearer " + raw({"alg": "RS256"}, {"sub": "zhang"}, b"x"))
