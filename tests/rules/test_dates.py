"""Dates as people write them: the column functions are the rule for one value, value by value."""

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from date_oracle import timestamp_of
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.rules.dates import (
    DAY_FIRST,
    MONTH_FIRST,
    DateReading,
    OrderEvidence,
    looks_like_serial,
    order_evidence,
    read_dates,
    read_timestamps,
)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-01-15", datetime(2024, 1, 15)),
        ("20240115", datetime(2024, 1, 15)),
        ("20240109 10:00:00", datetime(2024, 1, 9, 10)),
        ("2024/01/15", datetime(2024, 1, 15)),
        ("01/15/2024 9:05", datetime(2024, 1, 15, 9, 5)),
        ("15.01.2024 10:01", datetime(2024, 1, 15, 10, 1)),
        ("1/7/2024 10:00", datetime(2024, 1, 7, 10)),
        ("1.7.2024", datetime(2024, 7, 1)),
        ("15 Jan 2024", datetime(2024, 1, 15)),
        ("15-Jan-2024", datetime(2024, 1, 15)),
        ("January 15, 2024", datetime(2024, 1, 15)),
        ("Jan  8 2024 10:00AM", datetime(2024, 1, 8, 10)),
        ("Jan  8 2024 12:30AM", datetime(2024, 1, 8, 0, 30)),
        ("Jan  8 2024 12:30:15:123PM", datetime(2024, 1, 8, 12, 30, 15, 123000)),
        ("2024-01-10 10:00:00 PM", datetime(2024, 1, 10, 22)),
        ("2024-01-06T07:30:00.123456789Z", datetime(2024, 1, 6, 7, 30, 0, 123456)),
        ("2024-01-05T23:30:00-08:00", datetime(2024, 1, 6, 7, 30)),
        ("2024-01-06 07:30:00.0000000 +00:00", datetime(2024, 1, 6, 7, 30)),
        ("2024-01-06T08:00:00+0900", datetime(2024, 1, 5, 23)),
        ("2024-01-06 08:00:00 UTC", datetime(2024, 1, 6, 8)),
        ("2024-01-06 08:00:00.250GMT", datetime(2024, 1, 6, 8, 0, 0, 250000)),
        ("0001-01-01", datetime(1, 1, 1)),
        ("9999-12-31 23:59:59.999999", datetime(9999, 12, 31, 23, 59, 59, 999999)),
        ("2024-02-29", datetime(2024, 2, 29)),
        ("1/8/2024, 10:00\u202fPM", datetime(2024, 1, 8, 22)),
        ("  2024-01-15  ", datetime(2024, 1, 15)),
    ],
)
def test_a_date_is_read(text: str, moment: datetime) -> None:
    assert timestamp_of(text) == moment
    assert read_timestamps(pa.array([text])).to_pylist() == [moment]


@pytest.mark.parametrize(
    "text",
    [
        "2024-01-31 24:00:00", "2023-02-29 10:00:00", "1900-02-29", "1/7/24 10:00", "1704882000",
        "44600", "45293.5", "2024-13-01", "13/13/2024", "2024-01-01 10:60", "yesterday",
        "Foo 8 2024", "24-01-15", "10000-01-01", "Sept 5, 2024", "2024-01-15T10:30:60",
        "2024-01-15T10:30:00.", "2024-01-15Z", "2024-01-15t10:30", "2024-01-15T10:30z", "NA",
        "\u0662\u0660\u0662\u0664-01-15", "15 \u017fep 2024", "2024-01-15\n2024-01-15",
        "2024-Jan-15", "15 Jan 02024", "Jan 15, 2024-Jan-",
        "0000-01-01", "2024-01-01 13:00 PM", "2024-01-01 0:30 AM", "2024-01-01T10:00:00+25:00",
        "0001-01-01T00:00:00+01:00", "9999-12-31T23:00:00-02:00", "2024-01-15 10", "-",
        "13/01/2024",
    ],
)  # fmt: skip
def test_what_is_no_date_is_null(text: str) -> None:
    assert timestamp_of(text) is None
    assert read_timestamps(pa.array([text])).to_pylist() == [None]
    assert read_timestamps(pa.array([text, "2024-01-15"])).null_count == 1


def test_the_order_is_that_of_the_reading() -> None:
    texts = pa.array(["03/04/2024", "03.04.2024"])
    third_of_april, fourth_of_march = date(2024, 4, 3), date(2024, 3, 4)
    assert read_dates(texts).to_pylist() == [fourth_of_march, third_of_april]
    assert read_dates(texts, DateReading(DAY_FIRST)).to_pylist() == [third_of_april] * 2
    assert read_dates(texts, DateReading(MONTH_FIRST)).to_pylist() == [fourth_of_march] * 2


@pytest.mark.parametrize("text", ["2024-01-15T23:30:00-08:00", "1/15/2024 0:30 +09:00"])
def test_of_a_time_with_an_offset_the_day_on_the_spot_counts(text: str) -> None:
    texts = pa.array([text, "2024-01-15"])
    for zone in ("UTC", "Asia/Tokyo"):
        reading = DateReading(zone=zone, on_the_spot=True)
        assert read_dates(texts, DateReading(zone=zone)).to_pylist() == [date(2024, 1, 15)] * 2
        assert str(timestamp_of(text, reading)).startswith("2024-01-15")


@pytest.mark.parametrize(
    ("texts", "evidence", "order"),
    [
        (["13/01/2024", "02/01/2024"], OrderEvidence(1, 0, 1), DAY_FIRST),
        (["1.13.2024 7:00", "05.05.2024"], OrderEvidence(0, 1, 0), MONTH_FIRST),
        (["13/01/2024", "01/13/2024"], OrderEvidence(1, 1, 0), None),
        (["01/02/2024", "2024-01-15", None, "99/99/2024"], OrderEvidence(0, 0, 1), None),
        ([], OrderEvidence(), None),
    ],
)
def test_a_column_proves_its_order(
    texts: list[str], evidence: OrderEvidence, order: str | None
) -> None:
    found = order_evidence(pa.array(texts, pa.string()))
    assert found == evidence
    assert found.order == order
    assert found.contradicts == (evidence.day_first > 0 < evidence.month_first)


def test_a_column_that_is_no_text_proves_nothing() -> None:
    assert order_evidence(pa.array([datetime(2024, 1, 15)])) == OrderEvidence()


def test_a_serial_number_of_excel_is_recognised() -> None:
    texts = pa.array(["44600", "45293.5", "19999", "80000", "2024", "20240115", None])
    assert looks_like_serial(texts).to_pylist() == [True, True] + [False] * 5


def test_a_typed_column_with_a_zone_comes_in_the_zone_of_the_reading() -> None:
    moment = datetime(2024, 7, 1, 12, tzinfo=UTC)
    column = pa.array([moment], pa.timestamp("us", tz="America/New_York"))
    assert read_timestamps(column).to_pylist() == [datetime(2024, 7, 1, 12)]
    berlin = read_timestamps(column, DateReading(zone="Europe/Berlin"))
    assert berlin.to_pylist() == [datetime(2024, 7, 1, 14)]


def test_a_typed_moment_before_1970_is_cut_to_the_microsecond() -> None:
    before_1970 = pa.array([-1], pa.timestamp("ns"))
    assert read_timestamps(before_1970).to_pylist() == [datetime(1969, 12, 31, 23, 59, 59, 999999)]
    assert read_timestamps(pa.array([date(2024, 7, 1)])).to_pylist() == [datetime(2024, 7, 1)]


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
def test_the_infinity_of_an_engine_is_no_date(unit: str) -> None:
    infinite = pa.array([2**63 - 1, -(2**63 - 1), 0], pa.timestamp(unit))
    assert read_timestamps(infinite).to_pylist() == [None, None, datetime(1970, 1, 1)]


def test_dates_that_were_read_are_read_as_they_are() -> None:
    moments = read_timestamps(pa.array(["15.01.2024 7:05 PM", None, "Jan  8 2024 10:00AM"]))
    assert read_timestamps(moments).equals(moments)
    assert read_timestamps(moments.cast(pa.string())).equals(moments)


MOMENTS = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29))
FORMS = st.sampled_from([
    "%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f", "%m/%d/%Y", "%m/%d/%Y %I:%M %p",
    "%d.%m.%Y %H:%M", "%d %b %Y", "%B %d, %Y %H:%M:%S", "%b %d %Y %I:%M:%S:%f%p", "%Y%m%d",
    "%Y%m%d %H:%M:%S", "%d-%b-%Y",
])  # fmt: skip


def _written(moment: datetime, form: str) -> str:
    return moment.strftime(form.replace("%Y", f"{moment.year:04d}"))


@given(st.lists(st.tuples(MOMENTS, FORMS), min_size=1, max_size=20))
def test_what_is_written_in_a_known_form_is_read_back(given_: list[tuple[datetime, str]]) -> None:
    texts = [_written(moment, form) for moment, form in given_]
    for read, (moment, form) in zip(
        read_timestamps(pa.array(texts)).to_pylist(), given_, strict=True
    ):
        assert read == datetime.strptime(_written(moment, form), form)


@given(MOMENTS, st.integers(-1439, 1439), st.sampled_from(["UTC", "Europe/Berlin", "Asia/Tokyo"]))
def test_an_offset_is_converted_as_the_standard_library_does(
    moment: datetime, minutes: int, zone: str
) -> None:
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    wanted = aware.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    reading = DateReading(zone=zone)
    assert timestamp_of(aware.isoformat(), reading) == wanted
    assert read_timestamps(pa.array([aware.isoformat()]), reading).to_pylist() == [wanted]


DATE_LIKE = st.from_regex(
    r"[0-9]{1,4}[-/. ][0-9]{1,2}[-/. ][0-9]{1,4}([ T][0-9]{1,2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?"
    r" ?([AP]M)? ?(Z|UTC|[+-][0-9]{2}(:?[0-9]{2})?)?)?",
    fullmatch=True,
)


@settings(max_examples=300)
@given(
    st.lists(st.one_of(st.none(), st.text(max_size=12), DATE_LIKE), max_size=12),
    st.sampled_from([None, DAY_FIRST, MONTH_FIRST]),
)
def test_a_column_is_read_as_its_values_are_one_by_one(
    texts: list[str | None], order: str | None
) -> None:
    reading = DateReading(order)  # type: ignore[arg-type]  # one of the two words, or none
    alone = [None if text is None else timestamp_of(text, reading) for text in texts]
    assert read_timestamps(pa.array(texts, pa.string()), reading).to_pylist() == alone


@given(st.text(st.sampled_from("0123456789-T: ."), min_size=10, max_size=26))
def test_what_has_the_length_of_an_iso_date_is_still_judged_by_the_rule(text: str) -> None:
    assert read_timestamps(pa.array([text])).to_pylist() == [timestamp_of(text)]
