"""Where the samples of a packet belong, whatever timestamps and moments of playing do."""

from itertools import combinations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from sipcore.media.timeline import JITTER, RATE, TOLERANCE, Timeline

ORIGIN = 5000.0
stamps = st.integers(0, 0xFFFFFFFF)


def place(timeline: Timeline, track: int, stamp: list[int], play_at: list[float]) -> list[int]:
    stamps = np.array(stamp, np.int64) & 0xFFFFFFFF
    frames = timeline.place(np.full(len(stamp), track), stamps, np.array(play_at))
    return [int(frame) for frame in frames]


def fresh() -> Timeline:
    timeline = Timeline()
    timeline.begin(0, ORIGIN)
    return timeline


def played(frame: float) -> float:
    return ORIGIN + frame / RATE


@given(stamps, st.floats(0, 100), st.lists(st.integers(0, 4), min_size=1, max_size=80), st.data())
def test_a_clean_stream_is_exact_to_the_sample_whatever_is_lost(
    stamp: int, first_s: float, gaps: list[int], data: st.DataObject
) -> None:
    timeline, number = fresh(), 0
    numbers = [number := number + 1 + gap for gap in gaps]
    begin = round(first_s * RATE)
    frames: list[int] = []
    while numbers:
        many = data.draw(st.integers(1, len(numbers)))
        part, numbers = numbers[:many], numbers[many:]
        at = [played(begin + 160 * number) for number in part]
        frames += place(timeline, 0, [stamp + 160 * number for number in part], at)
    assert (np.array(frames) - frames[0]).tolist() == [
        160 * (number - 1 - gaps[0]) for number in np.cumsum(np.array(gaps) + 1).tolist()
    ]


@given(stamps, st.lists(st.integers(-70, 70), min_size=30, max_size=60))
def test_jitter_of_less_than_a_packet_moves_nothing(stamp: int, jitter: list[int]) -> None:
    at = [played(1000 + 160 * number + late) for number, late in enumerate(jitter)]
    frames = place(fresh(), 0, [stamp + 160 * number for number in range(len(jitter))], at)
    assert np.diff(frames).tolist() == [160] * (len(jitter) - 1)


def test_reordered_packets_lie_in_order() -> None:
    order = [0, 1, 3, 2, 4, 7, 6, 5]
    at = [played(160 * (place_ + 1)) for place_ in range(len(order))]
    frames = place(fresh(), 0, [0xFFFFFF00 + 160 * number for number in order], at)
    assert frames == [160 + 160 * number for number in order]


def test_one_late_packet_shifts_nothing_and_a_lasting_shift_does() -> None:
    late = [0, 0, 0, 400, 240, 80, 0, 0]
    stamp = [160 * number for number in range(len(late))]
    at = [played(160 * number + by) for number, by in enumerate(late)]
    assert place(fresh(), 0, stamp, at) == stamp

    shifted = [0, 0, 0, 400, 400, 400, 400, 400]
    at = [played(160 * number + by) for number, by in enumerate(shifted)]
    expected = [160 * number + by for number, by in enumerate(shifted)]
    assert place(fresh(), 0, stamp, at) == expected


def told_apart(sources: list[tuple[int | None, int, int]]) -> bool:
    """Whether no source's clock is so near to another's that its packets may be the other's."""
    clocks: list[tuple[int, int]] = []  # the source that set it; timestamp less moment
    now = owner = clock = 0
    for number, (first, count, pause) in enumerate(sources):
        now += pause
        owner, clock = (owner, clock - pause) if first is None else (number, first - now)
        clocks.append((owner, clock))
        now += 160 * count
    apart = [
        min((one - two) & 0xFFFFFFFF, (two - one) & 0xFFFFFFFF)
        for (its, one), (others, two) in combinations(clocks, 2)
        if its != others
    ]
    return not any(TOLERANCE < by <= JITTER for by in apart)


@given(
    st.lists(
        st.tuples(st.none() | stamps, st.integers(1, 30), st.integers(0, 5000)),
        min_size=1,
        max_size=12,
    ),
    st.integers(1, 40),
)
@example([(0, 2, 0), (0, 1, 0)], 1)  # may be the first packet again, reordered: lies there
@example([(0, 1, 0), (None, 1, 300), (100_000, 1, 0), (780, 1, 0)], 4)  # may be one late packet
@example([(1874, 2, 187), (3138, 3, 0), (1879, 8, 0)], 17)  # ahead of the old clock, then behind
def test_a_new_source_or_clock_is_anchored_at_once(
    sources: list[tuple[int | None, int, int]], batch: int
) -> None:
    stamp, target = [], []
    now = follows = 0
    for first, count, pause in sources:  # no first: the last one goes on after the pause
        now += pause
        follows = follows if first is None else first
        for _ in range(count):
            stamp.append(follows & 0xFFFFFFFF)
            target.append(now)
            follows += 160
            now += 160
    timeline, frames = fresh(), []
    for begin in range(0, len(stamp), batch):
        part = slice(begin, begin + batch)
        frames += place(timeline, 0, stamp[part], [played(one) for one in target[part]])
    off = np.abs(np.array(frames) - np.array(target))
    assert off.max() <= (TOLERANCE if told_apart(sources) else JITTER)


@given(st.lists(st.tuples(stamps, st.floats(0, 1e5)), min_size=1, max_size=60))
def test_nothing_lies_far_from_its_moment(packets: list[tuple[int, float]]) -> None:
    frames = place(fresh(), 0, [one for one, _ in packets], [ORIGIN + at for _, at in packets])
    target = np.rint(np.array([at for _, at in packets]) * RATE)
    assert np.abs(np.array(frames) - target).max() <= JITTER + 1


def test_tracks_do_not_touch_one_another_and_there_may_be_many() -> None:
    timeline = Timeline(2)
    for track in range(300):
        timeline.begin(track, ORIGIN + track)
    tracks = np.repeat(np.arange(300), 2)
    stamp = (tracks * 7_777_777 + np.tile([0, 160], 300)) & 0xFFFFFFFF
    play_at = ORIGIN + tracks + 1 + np.tile([0, 0.02], 300)
    assert timeline.place(tracks, stamp, play_at).tolist() == [8000, 8160] * 300
    assert timeline.place(tracks[:0], stamp[:0], play_at[:0]).tolist() == []
