"""The doctor finds what is ill, and only that."""

from __future__ import annotations

import pytest

from gis.access import audit
from gis.access.identity import Identity
from gis.cli import doctor
from gis.db import cluster
from gis.db.connection import owner
from gis.settings import settings

pytestmark = pytest.mark.usefixtures("store_db")

OF_THE_DATABASE = {
    doctor.database,
    doctor.versions,
    doctor.chinese,
    doctor.migrated,
    doctor.applied,
    doctor.serving,
    doctor.closed,
    doctor.recorded,
}


def _ill() -> set[str]:
    names = {item.title: item.look.__name__ for item in doctor.CHECKS}
    return {names[answer["check"]] for answer in doctor.examine() if not answer["sound"]} & {look.__name__ for look in OF_THE_DATABASE}


def _run(statement: str) -> None:
    with owner() as link, link.cursor() as cursor:
        cursor.execute(statement)


def test_every_check_has_a_title_of_its_own_and_a_remedy():
    titles = [item.title for item in doctor.CHECKS]
    assert all(titles) and len(set(titles)) == len(titles)
    assert all(item.hint for item in doctor.CHECKS)


def test_a_sound_database_is_found_sound_and_the_hurried_one_of_the_tests_is_not_called_durable():
    assert _ill() == set()
    durability = next(answer for answer in doctor.examine() if "power cut" in answer["check"])
    assert not durability["sound"] and "fsync off" in durability["found"]


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        ("DELETE FROM meta.migration WHERE number = 1", {"migrated"}),
        ("ALTER TABLE core.road ADD COLUMN mine int", {"applied"}),
        ("DROP VIEW pub.road_history; DROP VIEW pub.road", {"applied"}),
        ("GRANT SELECT (pipe_id) ON pub.gas_pipe TO onemap_anonymous", {"closed"}),
        ("GRANT SELECT ON history.water_pipe TO onemap_anonymous", {"closed"}),
        ("ALTER TABLE access.audit DISABLE TRIGGER USER; DELETE FROM access.audit", {"recorded"}),
        ("CREATE TABLE meta.own (n int); ALTER TABLE meta.own OWNER TO onemap_login", {"serving"}),
    ],
)
def test_what_is_ill_is_named(damage: str, found: set[str]):
    audit.record(Identity("li", "water"), "items", "water_pipe", n=1)
    _run(damage)
    assert _ill() == found


def _found(look) -> str | None:
    """What a check finds ill."""
    try:
        look()
    except doctor.Unsound as error:
        return error.what
    return None


@pytest.mark.parametrize(
    ("said", "ill"),
    [
        ({}, None),
        ({"HOST": "0.0.0.0"}, "in the clear"),
        ({"PUBLIC_URL": "https://map.example.org", "TRUSTED_PROXIES": "127.0.0.1"}, None),
        ({"PUBLIC_URL": "https://map.example.org"}, "the proxy's address"),
        ({"PUBLIC_URL": "http://map.example.org", "TRUSTED_PROXIES": "127.0.0.1"}, "in the clear"),
        ({"PUBLIC_URL": "http://127.0.0.1:8080"}, None),
        ({"TRUSTED_PROXIES": "127.0.0.1"}, "Host"),
        ({"PUBLIC_URL": "https://map.example.org", "TRUSTED_PROXIES": "10.0.0.0/8, 0.0.0.0/0"}, "everybody"),
    ],
)
def test_the_way_in(said, ill, monkeypatch):
    for name in ("HOST", "PUBLIC_URL", "TRUSTED_PROXIES"):
        monkeypatch.delenv(f"ONEMAP_{name}", raising=False)
    for name, value in said.items():
        monkeypatch.setenv(f"ONEMAP_{name}", value)
    settings.cache_clear()
    found = _found(doctor.way_in)
    monkeypatch.undo()
    settings.cache_clear()
    assert (found is None) if ill is None else ill in found


def test_the_home_is_closed_to_others(tmp_path, monkeypatch):
    """Deliveries lie there, and networks: what anybody may read who has an account on the machine is found, and closed."""
    monkeypatch.setenv("ONEMAP_HOME", str(tmp_path / "home"))
    settings.cache_clear()
    try:
        for name in ("sources", "networks"):
            assert cluster.room(name).stat().st_mode & 0o777 == 0o700
        settings().home.chmod(0o755)
        cluster.room("sources").chmod(0o755)
        (settings().home / "cluster.json").write_text("{}")
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir(mode=0o755)
        (settings().home / "tiles").symlink_to(elsewhere)
        assert {"home", "sources"} <= set(_found(doctor.home).split(", "))
        cluster.close_home()
        (settings().home / "tiles").unlink()
        assert _found(doctor.home) is None
        modes = {place.name: place.stat().st_mode & 0o777 for place in (settings().home, *settings().home.iterdir())}
        assert modes.pop("home") in (0o700, 0o711) and set(modes.values()) == {0o700, 0o600}
        assert elsewhere.stat().st_mode & 0o777 == 0o755, "what lies elsewhere is somebody else's business"
    finally:
        monkeypatch.undo()
        settings.cache_clear()
