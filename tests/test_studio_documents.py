"""Documents as a person works with them: by sentence, in takes, edited, joined while they are spoken, as a dialogue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clone.audio.reader import read
from clone.core.errors import TaskError, TextError, TimbreError, VoiceError
from clone.core.settings import Settings
from clone.storage.document import joined
from clone.storage.files import Store
from clone.storage.voices import Library
from clone.studio.facade import Document, DocumentSentence, Passage, Speaker, SpeakOrder, Stage, Studio, Voice
from clone.studio.texts import script
from tests.studios import TURBO, fit_for_a_person, last, order
from tests.studios import say as asked
from tests.voices import FILES, START, make_voice

if TYPE_CHECKING:
    from clone.engine.backend import LocalBackend

ORDER = SpeakOrder("ann", "ada", "", TURBO)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, backend: LocalBackend) -> Iterator[Studio]:
    studio = Studio(Settings.at(tmp_path_factory.mktemp("house") / "home"), backend)
    yield studio
    studio.close()


@pytest.fixture(scope="module")
def voice(house: Studio, examples: list[Path]) -> Voice:
    """Ada, named so, who speaks as turbo does."""
    return last(house.clone(order(examples[0], name="Ada"))).voice  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def said(house: Studio, voice: Voice) -> Document:
    """A document of three sentences, all of them spoken."""
    return last(house.say(asked(voice, "Walk home.\nIt rains. Come in.")))  # type: ignore[no-any-return]


def texts(house: Studio, document: Document) -> list[str]:
    return [each.text for each in house.sentences(document.document_id, document.owner)]


def spoken(events: list[object]) -> list[int | None]:
    """Return the numbers of the sentences of all passages."""
    return [event.sentence_id for event in events if isinstance(event, Passage)]


# what a line begins with


def test_headings_and_paragraphs_are_told_and_not_read_out() -> None:
    found = script(replace(ORDER, text="# One\n\nIt rains. Come in.\n### Two\n#3 is a number."), "en")
    assert [(each.text, each.heading, each.ends_paragraph) for each in found] == [
        ("One", 1, True),
        ("It rains.", 0, False),
        ("Come in.", 0, True),
        ("Two", 3, True),
        ("#3 is a number.", 0, True),
    ]
    pauses = [each.pause_s for each in found]
    assert pauses[0] == pauses[2] == pauses[3] > pauses[1] > pauses[4] > 0


def test_only_who_was_accepted_speaks_a_line() -> None:
    text = "Ada: Come in. Sit down.\nBo : Thanks.\nAda\nNota bene: nobody."
    cast = (("ADA", "voice-a"), ("Bo", "voice-b"))
    of = [(each.text, each.voice_id) for each in script(replace(ORDER, text=text, speakers=cast), "en")]
    assert of[:3] == [("Come in.", "voice-a"), ("Sit down.", "voice-a"), ("Thanks.", "voice-b")]
    assert [voice_id for _, voice_id in of[3:]] == [None, None]
    assert script(replace(ORDER, text=text), "en")[0].text == "Ada: Come in."


def test_a_pause_stays_where_it_was_written() -> None:
    text = "Come in. <#2#> Sit down.\nWalk [pause 0.5] home.\n<break time='1s'/>"
    found = script(replace(ORDER, text=text), "en")
    assert [each.text for each in found] == ["Come in. <#2#>", "Sit down.", "Walk <#0.5#>", "home.", "<#1#>"]
    again = script(replace(ORDER, text=joined(found)), "en")
    assert [(each.text, each.ends_paragraph) for each in again] == [(each.text, each.ends_paragraph) for each in found]


# by sentence


def test_a_pause_is_heard_in_its_sentence(house: Studio, voice: Voice) -> None:
    document = last(house.say(asked(voice, "Come in. <#2#> Hurry.")))
    first, second = house.sentences(document.document_id, "ann")
    assert first.duration_s > 2.0 > second.duration_s > 0


def test_a_document_is_listed_by_sentence_and_heard_by_sentence(house: Studio, said: Document) -> None:
    found = house.sentences(said.document_id, "ann")
    assert [(each.position, each.text, each.edited(said)) for each in found] == [
        (0, "Walk home.", False),
        (1, "It rains.", False),
        (2, "Come in.", False),
    ]
    assert sum(each.duration_s for each in found) == pytest.approx(said.duration_s)
    audio = house.sentence_audio(said.document_id, "ann", found[1].sentence_id)
    assert read(audio).duration_s == pytest.approx(found[1].duration_s, abs=0.01)


def test_another_take_is_another_and_the_first_can_be_chosen_again(house: Studio, said: Document) -> None:
    events = list(house.speak_sentence(said.document_id, "ann", 1))
    sentence = events[-1]
    assert isinstance(sentence, DocumentSentence)
    assert spoken(events) == [1]
    assert [each.variant for each in sentence.takes] == [0, 1]
    first, second = (each.duration_s for each in sentence.takes)
    assert second > 1.02 * first  # this engine has but one way to say it, so it is said slower
    assert house.document(said.document_id, "ann").complete
    house.choose_take(said.document_id, "ann", 1, 0)
    assert house.sentences(said.document_id, "ann")[1].duration_s == first


def test_only_what_was_edited_is_spoken(house: Studio, voice: Voice) -> None:
    document = last(house.say(asked(voice, "Walk home. It snows. Come in.")))
    before = [each.takes for each in house.sentences(document.document_id, "ann")]
    edited = house.edit_sentence(document.document_id, "ann", 1, " It is\n late. Hurry. ")
    assert (edited.text, edited.n_sentences - edited.n_spoken) == ("Walk home. It is late. Hurry. Come in.", 1)
    *events, done = house.speak_document(document.document_id, "ann")
    assert isinstance(done, Document)
    assert done.complete
    assert [event.name for event in events if isinstance(event, Stage)][-1] == "Speaking sentence 2 of 3"
    numbers = spoken(events)
    assert sorted(set(numbers)) == [0, 1, 2]
    assert all(one <= other for one, other in pairwise(numbers))  # type: ignore[operator]
    after = [each.takes for each in house.sentences(document.document_id, "ann")]
    assert [len(each) for each in after] == [1, 2, 1]
    assert (after[0], after[2]) == (before[0], before[2])
    assert after[1][1].variant == 0  # it is the first time that this is said
    anew = house.edit_document(document.document_id, "ann", text="Come in. Walk home.", name=" Weather ")
    assert (anew.complete, anew.name, texts(house, anew)) == (True, "Weather", ["Come in.", "Walk home."])
    assert spoken(list(house.speak_document(document.document_id, "ann"))) == [2, 0]


def test_a_document_that_is_spoken_is_joined_and_stopped_by_its_owner(house: Studio, voice: Voice) -> None:
    text = "One. Two. Three. Four. Five. Six. Seven. Eight."
    document = house.begin_document(asked(voice, text), "Numbers")
    assert (document.n_sentences, document.n_spoken) == (8, 0)
    assert document in house.documents("ann")
    with closing(house.speak_document(document.document_id, "ann")) as first:
        while not isinstance(next(first), Passage):
            pass
    assert house.is_speaking(document.document_id, "ann")  # who has left may come back
    assert not house.is_speaking(document.document_id, "ben")
    joining = house.speak_document(document.document_id, "ann")
    events = [next(joining)]
    while spoken(events)[-1:] != [2]:
        events.append(next(joining))
    assert sorted(set(spoken(events)), key=str) == [0, 1, 2]
    house.stop_document(document.document_id, "ben")
    assert house.is_speaking(document.document_id, "ann")
    house.stop_document(document.document_id, "ann")
    *_, stopped = joining
    assert isinstance(stopped, Document)
    assert 2 <= stopped.n_spoken < 8
    *rest, whole = house.speak_document(document.document_id, "ann")
    assert isinstance(whole, Document)
    assert whole.complete
    assert sorted(set(spoken(rest)), key=str) == list(range(8))
    assert not house.is_speaking(document.document_id, "ann")


def test_of_two_who_ask_for_the_same_either_may_leave(house: Studio, voice: Voice) -> None:
    same = asked(voice, "Ten. Nine. Eight. Seven.")
    one, other = house.say(same), house.say(same)
    document = next(one)
    assert isinstance(document, Document)
    assert next(other) == document
    while not isinstance(next(one), Passage):
        pass
    next(other)
    one.close()
    *events, whole = other
    assert isinstance(whole, Document)
    assert whole.complete
    assert [each.takes[0].take for each in house.sentences(document.document_id, "ann")] == [0, 0, 0, 0]
    assert max(spoken(events), key=str) == 3


@pytest.mark.parametrize("gone", ["voice", "document"])
def test_what_goes_while_it_is_spoken_ends_it(house: Studio, examples: list[Path], gone: str) -> None:
    voice = last(house.clone(order(examples[1], "gus"))).voice
    document = house.begin_document(asked(voice, "Ten. Nine. Eight. Seven. Six. Five."))
    events = house.speak_document(document.document_id, "gus")
    while not isinstance(next(events), Passage):
        pass
    if gone == "voice":
        house.forget(voice.voice_id, "gus")
    else:
        house.forget_document(document.document_id, "gus")
    with pytest.raises(TimbreError) as refused:
        list(events)
    assert fit_for_a_person(refused.value).code in ("unknown_voice", "unknown_document")
    assert house.documents("gus") == []
    assert not (house._settings.home / "audio" / "documents" / document.document_id).exists()
    if gone == "document":
        house.forget(voice.voice_id, "gus")


def test_a_dialogue_is_found_and_each_line_is_spoken_by_its_voice(
    house: Studio, voice: Voice, examples: list[Path]
) -> None:
    other = last(house.clone(order(examples[1], name="Bo"))).voice
    text = "Ada: Come in.\nBo: Thanks.\nCy: Nobody."
    found = house.dialogue(text, "ann")
    assert found == [Speaker("Ada", voice.voice_id, 1), Speaker("Bo", other.voice_id, 1)]
    assert house.dialogue(text, "ben") == []
    cast = tuple((each.name, each.voice_id) for each in found)
    document = last(house.say(replace(asked(voice, text), speakers=cast)))
    takes = [each.takes[0] for each in house.sentences(document.document_id, "ann")]
    assert [(each.text, each.voice_id) for each in takes] == [
        ("Come in.", voice.voice_id),
        ("Thanks.", other.voice_id),
        ("Cy: Nobody.", voice.voice_id),
    ]
    assert house.voice(other.voice_id, "ann").permanent
    assert house.edit_document(document.document_id, "ann", speakers=()).n_spoken == 1
    house.forget(other.voice_id, "ann")
    with pytest.raises(VoiceError):
        house.edit_document(document.document_id, "ann", speakers=cast)
    other = last(house.clone(order(examples[1], name="Bo"))).voice
    cast = (cast[0], ("Bo", other.voice_id))
    assert house.edit_document(document.document_id, "ann", speakers=cast).n_spoken == 2
    house.forget(other.voice_id, "ann")
    assert house.edit_document(document.document_id, "ann", text=f"{text}\nAda: Bye.").n_sentences == 4


# what is refused


def test_nobody_gets_at_the_document_of_another(house: Studio, said: Document) -> None:
    which = said.document_id, "ben"
    for call in (
        lambda: house.document(*which),
        lambda: house.sentences(*which),
        lambda: house.sentence_audio(*which, 0),
        lambda: house.edit_sentence(*which, 0, "Mine."),
        lambda: house.edit_document(*which, text="Mine.", name="Mine"),
        lambda: house.choose_take(*which, 0, 0),
        lambda: house.forget_document(*which),
        lambda: list(house.speak_sentence(*which, 0)),
        lambda: list(house.speak_document(*which)),
        lambda: house.write_document(*which, Path("nowhere.wav")),
    ):
        with pytest.raises(TaskError) as refused:
            call()  # type: ignore[no-untyped-call]
        assert fit_for_a_person(refused.value).code == "unknown_document"
    assert house.document(said.document_id, "ann").text == said.text


def test_a_voice_of_another_speaks_no_line(house: Studio, voice: Voice) -> None:
    stranger = replace(asked(voice, "Ada: Hello."), owner="ben")
    with pytest.raises(VoiceError):
        house.begin_document(stranger)
    library = Library(house._settings, Store(house._settings.store_url))
    library.add(make_voice("bens", owner="ben", permanent_at=START), FILES)
    library.close()
    assert house.begin_document(replace(stranger, voice_id="bens")).voice_id == "bens"
    with pytest.raises(VoiceError):
        house.begin_document(replace(stranger, voice_id="bens", speakers=(("Ada", voice.voice_id),)))


@pytest.mark.parametrize("text", ["", "…", "#  ", "x" * 50_001])
def test_what_can_not_be_said_is_no_document(house: Studio, said: Document, text: str) -> None:
    with pytest.raises(TimbreError) as refused:
        house.edit_document(said.document_id, "ann", text=text)
    assert fit_for_a_person(refused.value).field == "text"
    assert house.document(said.document_id, "ann") == said or house.document(said.document_id, "ann").text == said.text


def test_a_document_of_nothing_but_marks_is_not_kept(house: Studio, voice: Voice) -> None:
    document = house.edit_document(
        house.begin_document(asked(voice, "Soon nothing."), "Marks").document_id, "ann", text="1\n(…)"
    )
    house.edit_sentence(document.document_id, "ann", 0, "€1")
    with pytest.raises(TextError):
        list(house.speak_sentence(document.document_id, "ann", 1))
