"""The embedded cluster through what happens to it in a bureau: killed, copied, two starts at once, a port taken, no
room in a path."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
import room

from gis.db import cluster, connection, migrations
from gis.errors import StoreError
from gis.settings import settings


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty home without a cluster; whatever runs there afterwards is removed."""
    folder = room.new_home("onemap-home-")
    yield from _used(folder, monkeypatch)


def _used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in ("ONEMAP_DSN", "ONEMAP_DSN_SERVING"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ONEMAP_HOME", str(folder))
    connection.close_pool()
    settings.cache_clear()
    yield folder
    cluster.remove()
    monkeypatch.undo()
    connection.close_pool()
    settings.cache_clear()
    shutil.rmtree(folder)


def _asked(question: str) -> object:
    with connection.owner() as link, link.cursor() as cursor:
        cursor.execute(question)
        return cursor.fetchone()[0]


def test_a_cluster_is_made_started_stopped_and_started_again_with_its_rows(home: Path):
    assert cluster.status() == {"state": "absent"}
    assert cluster.start() == "created"
    assert cluster.start() == "running"
    port = cluster.status()["port"]
    assert _asked("SHOW server_encoding") == "UTF8"
    assert _asked("SHOW fsync") == "on"
    assert _asked("SHOW listen_addresses") == "127.0.0.1"
    assert _asked("SELECT cardinality(show_trgm('府前街'))") > 0
    migrations.migrate()
    with connection.owner() as link, link.cursor() as cursor:
        cursor.execute("INSERT INTO meta.batch (source) VALUES ('一')")
    assert cluster.stop() == "stopped"
    assert cluster.stop() == "not running"
    assert cluster.status()["state"] == "stopped"
    assert cluster.start() == "started"
    assert cluster.status()["port"] == port
    assert _asked("SELECT source FROM meta.batch") == "一"


def test_killed_without_warning_it_starts_again_and_a_stale_pid_of_another_process_does_not_deceive_it(home: Path):
    cluster.start()
    with connection.owner() as link, link.cursor() as cursor:
        cursor.execute("CREATE TABLE kept AS SELECT 7 AS n")
    os.kill(cluster.status()["pid"], signal.SIGKILL)
    assert cluster.start() == "started"
    assert _asked("SELECT n FROM kept") == 7
    cluster.stop()
    pid_file = Path(cluster.described().data) / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n{cluster.described().data}\n0\n{cluster.described().port}\n\n\n\n")
    assert cluster.status()["state"] == "stopped"
    assert cluster.start() == "started"
    assert _asked("SELECT n FROM kept") == 7


def test_a_port_taken_by_another_program_is_given_up(home: Path):
    cluster.start()
    port = cluster.status()["port"]
    cluster.stop()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        assert cluster.start() == "started"
        assert cluster.status()["port"] != port
        assert _asked("SELECT 1") == 1


def test_two_starts_at_once_make_one_cluster(home: Path):
    starts = [subprocess.Popen([sys.executable, "-m", "gis.cli.main", "db", "start"], stderr=subprocess.PIPE) for _ in range(2)]
    assert [start.wait(120) for start in starts] == [0, 0], [start.stderr.read() for start in starts]
    for start in starts:
        start.stderr.close()
    assert cluster.status()["state"] == "running"
    assert migrations.pending() == []


def test_a_first_start_that_was_cut_off_is_redone(home: Path):
    data = home / "cluster"
    data.mkdir()
    (data / "PG_VERSION").write_text("15\n")
    (home / "cluster.making").touch()
    assert cluster.start() == "created"


def test_nobody_enters_without_a_password_and_only_the_caller_can_read_it(home: Path):
    cluster.start()
    for secret in (home / "secrets").iterdir():
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    known = cluster.parameters()
    for host in ("127.0.0.1", cluster.status()["sockets"]):
        for password in ("", "wrong"):
            with pytest.raises(psycopg2.OperationalError):
                psycopg2.connect(**known | {"host": host, "port": cluster.status()["port"], "password": password}, passfile="/dev/null")
    hba = (Path(cluster.described().data) / "pg_hba.conf").read_text()
    assert "trust" not in hba


def test_the_server_does_not_run_as_root(home: Path):
    cluster.start()
    owner = os.stat(f"/proc/{cluster.status()['pid']}").st_uid
    assert owner != 0


@pytest.mark.parametrize("mode", [0o755, 0o700])
def test_a_deep_or_closed_folder_is_no_obstacle(mode: int, monkeypatch: pytest.MonkeyPatch):
    """A socket's path has at most 107 bytes; a project in /root is out of reach of the account that the server runs
    as."""
    top = Path(tempfile.mkdtemp(prefix="onemap-home-"))
    top.chmod(mode)
    deep = top / ("很深的文件夹" * 4) / "project" / ".onemap"
    deep.mkdir(parents=True)
    for _ in _used(deep, monkeypatch):
        assert cluster.start() == "created"
        assert _asked("SELECT 1") == 1
        data = Path(cluster.status()["data"])
        assert (deep / "cluster").resolve() == data.resolve()
        assert cluster.stop() == "stopped"
        assert cluster.start() == "started"
    assert not data.exists()
    shutil.rmtree(top)


def test_an_external_server_is_left_alone(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ONEMAP_DSN", "host=127.0.0.1 port=1 dbname=none user=none password=hidden")
    settings.cache_clear()
    assert cluster.start() == cluster.stop() == "external"
    assert cluster.status() == {"state": "external"}
    with pytest.raises(StoreError, match="not ours"):
        cluster.remove()
    with pytest.raises(StoreError, match="does not answer") as failure, connection.owner():
        pass
    assert "hidden" not in str(failure.value)
    monkeypatch.delenv("ONEMAP_DSN")
    settings.cache_clear()
