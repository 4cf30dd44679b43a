"""A document as the library keeps it: the values, its text, and what is said when it is not there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from clone.contract.orders import Speakers
from clone.contract.speech import SpeechSettings
from clone.core.errors import TaskError


@dataclass(frozen=True)
class Document:
    """A text said by a voice, and by others where ``speakers`` are; ``voice_name`` is what the voice is called now.

    ``n_spoken`` sentences of ``n_sentences`` are said as they are written; ``duration_s`` is that of all that is there.
    """

    document_id: str
    owner: str
    voice_id: str
    voice_name: str
    name: str
    text: str
    model: str
    settings: SpeechSettings
    speakers: Speakers
    request_key: str
    created_at: datetime
    changed_at: datetime
    n_sentences: int
    n_spoken: int = 0
    duration_s: float = 0.0
    n_bytes: int = 0

    @property
    def complete(self) -> bool:
        """Whether every sentence is spoken."""
        return self.n_spoken == self.n_sentences


@dataclass(frozen=True)
class SentenceTake:
    """One spoken version of a sentence: what was said, by whom, and which of the ways to say it; 0 s where no sound."""

    take: int
    text: str
    voice_id: str
    variant: int
    duration_s: float
    n_bytes: int


@dataclass(frozen=True)
class DocumentSentence:
    """One unit of a document, in its place.

    Attributes:
        text: what is to be said.
        pause_s: after it, at the voice's own rate.
        ends_paragraph: whether it is the last of one.
        heading: of which level it is; 0 where it is none.
        voice_id: who says it; None for the document's own voice.
        sentence_id: its number, which it keeps; -1 before it has one.
        position: 0 is the first.
        take: the chosen one's number; None where nothing is spoken.
        takes: the last few, oldest first.
    """

    text: str
    pause_s: float = 0.0
    ends_paragraph: bool = True
    heading: int = 0
    voice_id: str | None = None
    sentence_id: int = -1
    position: int = -1
    take: int | None = None
    takes: tuple[SentenceTake, ...] = ()

    @property
    def chosen(self) -> SentenceTake | None:
        """The take that is heard; None where there is none."""
        return next((each for each in self.takes if each.take == self.take), None)

    @property
    def duration_s(self) -> float:
        """Length of what is heard."""
        return self.chosen.duration_s if self.chosen else 0.0

    def edited(self, document: Document) -> bool:
        """Whether something else is heard than what is written, or somebody else."""
        heard = self.chosen
        return heard is not None and (heard.text, heard.voice_id) != (self.text, self.voice_id or document.voice_id)

    def to_speak(self, document: Document) -> bool:
        """Whether it is still to be spoken, for the first time or anew."""
        return self.chosen is None or self.edited(document)


def joined(sentences: Sequence[DocumentSentence], speakers: Speakers = ()) -> str:
    """Return sentences as one text: a paragraph a line, headings and who speaks marked as they are written."""
    names, text, begins = {voice_id: name for name, voice_id in speakers}, "", True
    for each in sentences:
        if begins:
            name = names.get(each.voice_id or "")
            text += "#" * each.heading + " " if each.heading else f"{name}: " if name else ""
        text += each.text
        begins = each.ends_paragraph
        text += "\n" if begins else "" if each.text[-1:] in "。！？．" else " "
    return text.strip()


def matched(before: Sequence[DocumentSentence], script: Sequence[DocumentSentence]) -> list[DocumentSentence]:
    """Return a script whose sentences have the numbers, and takes, of those before that they are.

    What says the same is the same, wherever it is now; what is new, and follows where something went, is an edit of it.
    """
    same: dict[tuple[str, str | None], list[int]] = {}
    for i, old in reversed(list(enumerate(before))):
        same.setdefault((old.text, old.voice_id), []).append(i)
    found = [ids.pop() if (ids := same.get((new.text, new.voice_id))) else None for new in script]
    used, previous = {i for i in found if i is not None}, -1
    for j in range(len(found)):
        if found[j] is None and previous + 1 < len(before) and previous + 1 not in used:
            found[j] = previous + 1
            used.add(previous + 1)
        now = found[j]
        previous = previous if now is None else now
    numbered = zip(script, found, strict=True)
    return [
        new if i is None else replace(new, sentence_id=before[i].sentence_id, take=before[i].take)
        for new, i in numbered
    ]


def unknown_document() -> TaskError:
    """What is said of a document that is not there, or somebody else's."""
    return TaskError("This speech is no longer kept.", code="unknown_document", advice="Say the text again.")


def unknown_sentence() -> TaskError:
    """What is said of a sentence that an edit took away."""
    return TaskError("This sentence is no longer there.", code="unknown_sentence", advice="Open the document again.")
