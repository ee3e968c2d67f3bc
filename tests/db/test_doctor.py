"""The doctor finds what is ill, and only that."""

from __future__ import annotations

import pytest

from gis.cli import doctor
from gis.db.connection import owner

pytestmark = pytest.mark.usefixtures("store_db")

OF_THE_DATABASE = {doctor.database, doctor.versions, doctor.chinese, doctor.migrated, doctor.applied, doctor.serving, doctor.closed}


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
        ("CREATE TABLE meta.own (n int); ALTER TABLE meta.own OWNER TO onemap_login", {"serving"}),
    ],
)
def test_what_is_ill_is_named(damage: str, found: set[str]):
    _run(damage)
    assert _ill() == found
