"""Offers and answers with the m-lines that the other side's must have (RFC 3264 6, 8)."""

from sipcore.errors import BadMessage
from sipcore.media.offer import codecs_of, refused, with_formats
from sipcore.message.sdp import Media, Sdp


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
