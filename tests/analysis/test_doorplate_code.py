"""The door-plate code: the check digit against a plain reading of ISO/IEC 7064, and what it promises."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gis.analysis import doorplate_code as code
from gis.errors import InputError

bodies = st.text("0123456789", min_size=26, max_size=26).filter(lambda body: int(body[15:20]) > 0)


def plain_check(body: str) -> str:
    """ISO/IEC 7064:2003, 9.1, digit by digit."""
    product = 10
    for digit in body:
        total = (product + int(digit)) % 10 or 10
        product = 2 * total % 11
    return str((1 - product) % 10)


def test_published_example_of_mod_11_10():
    assert plain_check("0794") == "5", "the example of ISO/IEC 7064: 0794 has the check digit 5"


@given(st.lists(bodies, min_size=1, max_size=20))
def test_vectorised_check_digits_equal_the_plain_reading(many):
    assert code.check_digit(many).tolist() == [plain_check(body) for body in many]


@given(bodies, st.integers(0, 26), st.integers(1, 9))
def test_every_wrong_single_digit_is_found(body, place, shift):
    right = body + plain_check(body)
    wrong = right[:place] + str((int(right[place]) + shift) % 10) + right[place + 1 :]
    assert code.faults([right])[0] == code.OK
    assert code.faults([wrong])[0] == code.WRONG_CHECK


def test_most_but_not_all_exchanged_neighbours_are_found():
    rng = np.random.default_rng(1)
    digits = rng.integers(0, 10, (2000, 26)).astype(str)
    digits[:, 19] = "1"
    many = ["".join(row) for row in digits]
    codes = [body + check for body, check in zip(many, code.check_digit(many), strict=True)]
    assert 0.95 < code.adjacent_transpositions_found(codes) < 1.0


def test_compose_and_parse_are_inverse():
    made = code.compose(["999901001001", "999901001002"], ["001", "002"], [12, 99999], [0, 10203])
    parts = code.parse(made[0])
    assert (parts.area, parts.grid, parts.building, parts.unit) == ("999901001001", "001", "00012", "000000")
    assert parts.grid_code == "999901001001001"
    assert str(parts) == made[0] and len(made[0]) == 27
    assert code.parse(made[1]).unit == "010203"
    assert code.parse(f" {parts.printed} ") == parts
    assert (code.faults(made) == code.OK).all()


def test_full_width_digits_are_read():
    made = str(code.compose("999901001001", 1, 1)[0])
    assert str(code.parse(made.translate({ord(str(d)): chr(0xFF10 + d) for d in range(10)}))) == made


def test_compose_of_nothing_is_empty():
    assert code.compose([], np.array([], int), np.array([], int)).tolist() == []


def test_one_endless_text_among_many_costs_nothing():
    good = str(code.compose("999901001001", 1, 1)[0])
    answer = code.faults([good] * 50_000 + ["9" * 1_000_000, None, float("nan")])
    assert (answer[:50_000] == code.OK).all()
    assert answer[50_000:].tolist() == [code.WRONG_LENGTH, code.EMPTY, code.EMPTY]


@pytest.mark.parametrize(
    "parts",
    [
        ("99990100100", 1, 1, 0),
        ("999901001001", 1000, 1, 0),
        ("999901001001", 1, 100000, 0),
        ("999901001001", 1, 1, 10**6),
        ("999901001001", -1, 1, 0),
        ("99990100100x", 1, 1, 0),
        ("999901001001", "１", 1, 0),
    ],
)
def test_parts_that_do_not_fit_are_refused(parts):
    with pytest.raises(InputError):
        code.compose(*parts)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", code.EMPTY),
        (None, code.EMPTY),
        (float("nan"), code.EMPTY),
        ("123", code.WRONG_LENGTH),
        ("9" * 10_000, code.WRONG_LENGTH),
        ("x" * 27, code.NOT_DIGITS),
        ("１" * 27, code.NOT_DIGITS),
        ("9" * 15 + "00000" + "0" * 6 + plain_check("9" * 15 + "0" * 11), code.NO_BUILDING),
    ],
)
def test_each_fault_has_its_reason(text, fault):
    assert code.faults([text])[0] == fault
    assert all(code.REASONS[fault])


def test_parse_says_why():
    right = str(code.compose("999901001001", 1, 1)[0])
    wrong = right[:-1] + str((int(right[-1]) + 1) % 10)
    with pytest.raises(InputError, match="校验码不符"):
        code.parse(wrong)
    with pytest.raises(InputError, match="27"):
        code.parse("12")
