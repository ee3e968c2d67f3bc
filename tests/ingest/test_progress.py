"""Progress where nobody watches: plain lines with rows, share, rate and what remains, at most one every two seconds."""

from gis.cli.progress import Lines


def test_lines_say_rows_rate_and_remaining_time(capsys):
    moments = iter([0.0, 1.0, 4.0, 5.0, 10.0, 11.0])
    lines = Lines(lambda: next(moments))
    for done in (0, 100_000, 400_000, 500_000, 1_000_000):
        lines("reading address", done, 1_000_000)
    lines("publishing address", 0, 1_000_000)
    said = capsys.readouterr()
    assert said.out == "" and said.err.splitlines() == [
        "reading address",
        "reading address 400,000 of 1,000,000 (40%), 100,000 rows/s, 6 s left",
        "reading address 1,000,000 of 1,000,000 (100%), 100,000 rows/s",
        "publishing address",
    ]


def test_a_work_without_a_known_end(capsys):
    moments = iter([0.0, 3.0])
    lines = Lines(lambda: next(moments))
    lines("reading facility", 0, None)
    lines("reading facility", 90_000, None)
    assert capsys.readouterr().err.splitlines()[-1] == "reading facility 90,000, 30,000 rows/s"
