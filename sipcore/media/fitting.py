"""Offers and answers with the m-lines that the other side's must have (RFC 3264 6, 8)."""

from collections.abc import Callable, Sequence

from msgspec import Struct, structs

from sipcore.errors import BadMessage, MediaError
from sipcore.media.offer import Described, codecs_of, facing_direction, refused, with_formats
from sipcore.message.sdp import Codec, Media, Sdp

_BESIDE_SPEECH = ("telephone-event", "cn")


class Common(Struct, frozen=True, gc=False):
    """What one side has described of what the other one offers, by m-lines: the text, what its
    speaker wants, and that as an answer, whose direction fits the offer's.
    """

    media: tuple[Media, ...]
    wanted: tuple[Described, ...]
    fitting: tuple[Described, ...]


def in_common(
    facing: tuple[Sdp, Sequence[Described]],
    offer: tuple[Sdp, Sequence[Described]],
    has_port: Callable[[int], bool],
) -> Common:
    """Answer an offer by what its other side, `facing`, has said. Raises MediaError: nothing."""
    (said, views), medias, wanted, fitting = facing, [], [], []
    for index, (media, mine) in enumerate(zip(offer[0].media, offer[1], strict=True)):
        theirs = views[index] if index < min(len(views), len(said.media)) else None
        kept = None
        if theirs is not None and theirs.is_relayed and mine.is_relayed and has_port(index):
            kept = only_formats(said.media[index], media, theirs, mine)
        if kept is None or theirs is None:
            medias.append(refused(media))
            wanted.append(structs.replace(mine, is_relayed=False))
            fitting.append(wanted[-1])
            continue
        if kept is not said.media[index]:
            theirs = _reduced(theirs, kept.formats)
        medias.append(kept)
        wanted.append(theirs)
        fitting.append(facing_direction(theirs, mine))
    if not any(one.is_relayed for one in wanted):
        raise MediaError("nothing in this offer is what the other side can")
    return Common(tuple(medias), tuple(wanted), tuple(fitting))


def only_formats(media: Media, offered: Media, theirs: Described, mine: Described) -> Media | None:
    """Return an m-line of one side as the answer to the other's: what both can. None: nothing.

    The numbers are those of `media`, in which its speaker wants to receive; the other side's may
    differ (RFC 3264 6.1). A number that means something else there is not used (8.3.2).
    """
    names = names_of(mine)
    kept = [form for form in media.formats if _is_common(form, offered, theirs, mine, names)]
    speech = [form for form in kept if not _is_beside_speech(theirs.codecs, form)]
    if not speech or media.kind != offered.kind:
        return None
    return media if len(kept) == len(media.formats) else with_formats(media, kept)


def names_of(described: Described) -> set[tuple[str, int]]:
    """Return encoding names and clock rates: by these codecs are the same (RFC 3264 6.1)."""
    return {(one.name.lower(), one.clock_rate) for one in described.codecs.values()}


def takes_all(now: Described, was: Described, own: Described) -> bool:
    """Tell whether one side takes, by `now`, all that the other one may send, which can `own` and
    was told `was`.
    """
    names = names_of(own)
    for number, codec in was.codecs.items():
        name, taken = (codec.name.lower(), codec.clock_rate), now.codecs.get(number)
        if name in names and (taken is None or (taken.name.lower(), taken.clock_rate) != name):
            return False
    return True


def _is_common(
    form: str, offered: Media, theirs: Described, mine: Described, names: set[tuple[str, int]]
) -> bool:
    number = int(form) if form.isdecimal() else -1
    codec, facing = theirs.codecs.get(number), mine.codecs.get(number)
    if codec is None:
        return form in offered.formats
    name = codec.name.lower(), codec.clock_rate
    return name in names and (facing is None or (facing.name.lower(), facing.clock_rate) == name)


def _is_beside_speech(codecs: dict[int, Codec], form: str) -> bool:
    codec = codecs.get(int(form)) if form.isdecimal() else None
    return codec is not None and codec.name.lower() in _BESIDE_SPEECH


def _reduced(described: Described, formats: Sequence[str]) -> Described:
    codecs = {one: codec for one, codec in described.codecs.items() if str(one) in formats}
    event_type = described.event_type if described.event_type in codecs else -1
    return structs.replace(described, codecs=codecs, event_type=event_type)


def align(answer: Sdp, offered: Sdp) -> Sdp:
    """Give an answer as many m-lines as the offer had (RFC 3264 6), and no codec that it had not.

    Phones that leave out the m-lines they refuse are forgiven, and those that add codecs; an answer
    with more m-lines than the offer, or with other codecs alone, raises BadMessage.
    """
    missing = len(offered.media) - len(answer.media)
    if missing < 0:
        raise BadMessage("answer with more m-lines than the offer", 488)
    medias = answer.media
    for index, one in enumerate(medias):
        wanted = offered.media[index]
        if one.formats != wanted.formats and not set(wanted.formats).issuperset(one.formats):
            medias = (*medias[:index], _offered_alone(one, wanted), *medias[index + 1 :])
    if missing:
        medias += tuple(map(refused, offered.media[-missing:]))
    return answer if medias is answer.media else Sdp(answer.session, medias, answer.below)


def with_all(offer: Sdp, earlier: Sdp) -> Sdp:
    """Give an offer as many m-lines as an earlier one had (RFC 3264 8)."""
    more = tuple(map(refused, earlier.media[len(offer.media) :]))
    return Sdp(offer.session, (*offer.media, *more), offer.below)


def answering(offer: Sdp, offered: Sdp) -> Sdp:
    """Let an offer answer another one: no m-lines that it has not, none of another kind."""
    medias = tuple(
        mine if mine.kind == wanted.kind else refused(wanted)
        for mine, wanted in zip(offer.media, offered.media, strict=False)
    )
    return Sdp(offer.session, medias, offer.below)


def _offered_alone(media: Media, offered: Media) -> Media:
    """Drop the codecs of an answered m-line that were not offered, by number or by name."""
    known = (*codecs_of(offered).values(), *offered.codecs.values())
    names = {(one.name.lower(), one.clock_rate) for one in known}
    codecs = codecs_of(media)
    kept = [
        form
        for form in media.formats
        if form in offered.formats
        or (
            form.isdecimal()
            and (codec := codecs.get(int(form))) is not None
            and (codec.name.lower(), codec.clock_rate) in names
        )
    ]
    if not kept and media.port:
        raise BadMessage("an answer with no codec that was offered", 488)
    return with_formats(media, kept or list(media.formats))
