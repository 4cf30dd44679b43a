"""Every word of the page, in one place. Numbers of the contract are taken from it, never typed here."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from clone.audio.preflight import Finding
from clone.contract import cloning
from clone.core.likeness import ENDS, Likeness, in_short, in_words

_MIN_S = f"{cloning.REFERENCE_MIN_S:.0f} seconds"
_MAX_S = f"{cloning.REFERENCE_MAX_S / 60:.0f} minutes"
_PROMPT_S = f"{cloning.PROMPT_LIMIT_S:.0f} seconds"
_DAYS = cloning.RETENTION.days

TITLE = "Timbre"
PLACES = {"clone": "Clone", "speak": "Write", "voices": "Voices"}

# 1 Your voice
HELLO = "Hear your voice say anything."
HELLO_LEAD = "One recording is enough. It stays on the machine that runs this page."
PLAY_IT, PAUSE_IT, PLACE_IN, OF = "Play", "Pause", "Place in {}", "of"
YOURS = "Your recording"
SAVE_SOUND = "Download {}"
SOURCE = "How do you want to give the recording?"
RECORD, UPLOAD, LINK, EXAMPLE = "Record", "Upload", "Paste a link", "Example"
SOURCES = (RECORD, UPLOAD, LINK, EXAMPLE)
RECORD_LABEL = "Record with your microphone"
UPLOAD_LABEL = f"{_MIN_S[0].upper()}{_MIN_S[1:]} to {_MAX_S} of one person speaking: mp3, m4a or wav"
LINK_LABEL = "Link to a recording"
LINK_HINT = "A public http or https address of an audio file. It is downloaded by the machine that runs Timbre."
LINK_PLACEHOLDER = "https://…"
LINK_BUTTON = "Check this link"
EXAMPLE_LABEL = "Example voices"
EXAMPLE_HINT = "These speakers are synthesised: they are nobody's real voice."
SCRIPT_TITLE, SCRIPT_BACK, SCRIPT_NEXT = "Read aloud, a sentence at a time", "Back", "Next sentence"
RECORD_STOP = "Stop recording"
SCRIPT = (
    "Last spring I took the slow train to the coast, just to see whether the little cafe by the pier was still open.",
    "Have you ever gone back to a place and found that everything had moved a few steps to the left?",
    "The owner laughed when I asked for the usual: forty years, she said, and you still can't choose a cake!",
    "So I sat outside with my coffee, watched the gulls argue over a chip, and thought about nothing at all.",
    "A boy in a yellow jacket was showing his father a treasure: one blue shoe, full of sand and tiny shells.",
    "Which of the thieves, he asked very seriously, would leave the other one behind?",
    "Towards five the fog came in, quietly, over the harbour wall; the church bell rang, and somebody joked that even "
    "the ships were yawning.",
    "I paid, wished them all a good evening, and bought a huge jar of orange honey for my sister, who usually enjoys "
    "such things.",
    "Would I do it again? Of course. Next year, though, I shall go in June.",
)
"""About a minute; every sound of English is in it."""
METER = {
    "short": "{} s more are needed",
    "more": "enough; {} s more is better",
    "enough": "plenty, stop whenever you like",
    "quiet": "Very quiet: move closer to the microphone.",
    "loud": "Too loud: move back a little, or turn the microphone down.",
}
READY = "Ready to clone."
READY_PART = "Ready to clone from the part that is marked."
CHECKING = "Checking the recording"
DOWNLOADING = "Downloading the recording"
RECORDING_GONE = "The recording is no longer here."
RECORDING_GONE_ADVICE = "Recordings are removed after a while. Please add it again."
NO_RECORDING = {
    RECORD: ("There is no recording yet.", "Press Record and read something aloud."),
    UPLOAD: ("There is no recording yet.", "Choose a file or drop one here."),
    LINK: ("There is no link yet.", "Paste the address of a recording."),
    EXAMPLE: ("No example is chosen yet.", "Choose one of the voices."),
}


# What is heard in it
FINDINGS = {
    "duration": "Length",
    "too_short": "Length",
    "too_long": "Length",
    "size": "Size",
    "too_big": "Size",
    "level": "Signal",
    "silent": "Signal",
    "speech": "Speech",
    "no_speech": "Speech",
    "loudness": "Loudness",
    "clipping": "Clipping",
    "noise": "Noise",
    "bandwidth": "Bandwidth",
    "hum": "Hum",
    "dc": "Offset",
    "echo": "Echo",
    "edges": "Edges",
    "speakers": "Speakers",
    "language": "Language",
}
SEVERITIES = {"refuse": "refused", "warn": "could be better", "info": "for your information", "ok": "good"}
LEGEND = {"speech": "Speech", "clipped": "Clipped", "best": "The best part", "stretch": "The part to clone from"}
_UNITS = {
    "level": "at least {} dBFS",
    "speech": "at least {} s",
    "loudness": "at least {} LUFS",
    "clipping": "at most {} s",
    "noise": "at least {} dB",
    "bandwidth": "at least {} Hz",
    "hum": "below {} dB",
    "dc": "below {} of full scale",
    "echo": "below {} s",
    "edges": "at most {} s",
    "speakers": "alike by at least {}",
    "duration": "{}",
}
PART_USE = "Clone from this part alone"
PART_HINT = "What is marked in the picture is all that is cloned, kept and sent."
NO_PART = ("The start or the length of the part is missing.", "Give both in seconds, or untick the part.")
PART_INSTEAD = "It is too much to clone whole, so only the marked part is cloned. Move it, or hear it first."
PART_SOUGHT = "It is too much to clone whole. The best part of it is being looked for."
HEARING_ON = "Still listening, for other voices and the best part."
PART_START, PART_LENGTH = "Start, in seconds", "Length, in seconds"
PART_HEAR, PART_PLAYER = "Hear this part", "The part"
CURES_COMPARE, CURES_BEFORE, CURES_AFTER = "Hear it before and after", "Before", "After"
CURES_APPLY, PERSON = "Use it for the clone", "Voice {}"


def clock(seconds: float) -> str:
    """Write seconds as minutes and seconds."""
    return cloning.clock(seconds)


def picture(duration_s: float, n_spoken: int, n_clipped: int) -> str:
    """Say what the picture of a recording shows."""
    clipped = f" {n_clipped} moments are clipped." if n_clipped else " Nothing is clipped."
    return f"Waveform of {cloning.clock(duration_s)} minutes; speech in {n_spoken} parts.{clipped}"


def report(n_checks: int, n_odd: int, complete: bool) -> str:
    """Say how a report went, in one line."""
    found = f"{n_odd} to look at" if n_odd else "nothing to mend"
    return f"Sound check: {n_checks} points, {found}" + ("" if complete else " so far")


def verdict(refused: bool, cuttable: bool, n_people: int, found: Iterable[Finding]) -> str:
    """Say in a word or two whether a recording can be cloned."""
    if refused and not cuttable:
        return "Can’t be used"
    if n_people:
        return "Two people" if n_people == 2 else "Several people"
    if refused:
        return "Too long: a part is cloned"
    odd = [FINDINGS.get(each.code, each.code).lower() for each in found if each.severity == "warn"]
    return f"Usable: {odd[0]}" if odd else "Good"


def limit(code: str, value: float | str | None) -> str:
    """Say the limit of a finding."""
    return "" if value is None or code not in _UNITS else _UNITS[code].format(value)


def predicts(error: str) -> str:
    """Say what the hosted service would answer."""
    return f"Novita would refuse it too, with {error}."


def segment(start_s: float, end_s: float, reasons: tuple[str, ...]) -> str:
    """Say which part is the best, and why."""
    return f"The best part is from {cloning.clock(start_s)} to {cloning.clock(end_s)}. {' '.join(reasons)}"


def cures(needs: tuple[str, ...], is_clean: bool = False) -> str:
    """Say what may help, or that nothing would."""
    if not needs:
        return f"{'This is a clean recording: l' if is_clean else 'L'}eave “{NOISE}” and “{VOLUME}” off."
    named = {"noise": NOISE, "volume": VOLUME}
    return f"{' and '.join(f'“{named[need]}”' for need in needs)} may help this recording."


def cured(noise_db: float, gain_db: float) -> str:
    """Say what it changed, as measured."""
    said = [f"the pauses {noise_db:+.0f} dB"] if round(noise_db) else []
    said += [f"the volume {gain_db:+.0f} dB"] if round(gain_db) else []
    return f"Measured: {' and '.join(said)}." if said else "It changes nothing here."


def match(score: float, accuracy: float) -> str:
    """Say how well a transcript fits."""
    enough = "enough" if score >= accuracy else "not enough"
    return f"The transcript matches what is heard by {score:.2f}. That is {enough}: {accuracy:.2f} is asked for."


def heard(text: str) -> str:
    """Say what was heard."""
    return f"Heard: {text}"


# 2 Make it closer
CLOSER = "Make it closer (optional)"
CLOSER_ADVICE = (
    f"A clip of less than {_PROMPT_S} of the same person, with exactly what is said in it. "
    "It steers the pitch and pace of the clone."
)
PROMPT_AUDIO = "Prompt clip"
PROMPT_TAKE, PROMPT_TRANSCRIBE = "Take it from my recording", "Transcribe"
PROMPT_TAKEN = "A sentence was cut out and written down. Please read the transcript and correct it."
NO_PROMPT = ("There is no clip yet.", "Upload one, record one, or take it from your recording.")
PROMPT_TEXT = "Transcript of the clip"
PROMPT_TEXT_HINT = "Word for word, ending with a full stop, question mark or exclamation mark."

# 3 Preview
TEXT = "What it says first"
TEXT_HINT = "Leave it empty to clone without a preview."
LANGUAGE, LANGUAGE_DETECT = "Language", "Tell it from the text"
LANGUAGE_FOUND, LANGUAGE_SET = "The text looks like {}.", "Read as {}."
LANGUAGE_HD = "On this machine turbo speaks English only, so hd speaks this, whichever model is chosen."
TEXT_START = "Hello! This is my new voice. I hope it sounds familiar to you."
SENTENCES = {
    "Greeting": TEXT_START,
    "Story": (
        "The old lighthouse had been dark for years. "
        "Then, one stormy night, somebody climbed the stairs and lit it again."
    ),
    "News": "Good evening. Trains are running again on all lines, and the weekend is going to be sunny and warm.",
}
SENTENCES_LABEL = "Ready sentences:"
MODEL = "Model"
MODEL_LABELS = {"hd": "hd (best quality)", "turbo": "turbo (faster)"}
MODEL_START = next(name for name in reversed(cloning.MODELS) if cloning.tier(name) == "hd")
MODEL_HINT = "On this machine all hd models sound alike, and so do all turbo models."
MODEL_OFFER = "A closer hd exists: {} ({}, {}). It is not part of Timbre, and fetched only if you ask."
MODEL_TERMS = "Its licence ({}) and terms of use"
MODEL_GET, MODEL_COMPARE = "Agree and get {}", "Compare it with hd"
MODEL_HERE = "A closer hd is here: {}."
MODEL_UNUSED = "{} is here, but hd stays Kokoro's. {}"
MODEL_STOPPED = "Stopped. What has come so far is kept, and gone on with next time."

# 4 Advanced
OPTIONS = "Options"
QUALITY, QUALITIES = "Quality", {"Best": "hd", "Fast": "turbo"}
NAME_PLACEHOLDER = "As the recording is called"
ACCURACY = "Transcript match required"
ACCURACY_HINT = (
    "How closely the prompt transcript must match what is heard in the prompt clip, from 0 (anything goes) to "
    "1 (every word). It changes nothing without a prompt clip."
)
NOISE = "Reduce noise"
NOISE_HINT = "For a steady hum, hiss or fan in the recording. Leave it off for a clean one: it would sound worse."
VOLUME = "Even out the volume"
VOLUME_HINT = "For a recording that is clearly too quiet or too loud."

# 5 Consent and the button
CONSENT = "I am the person in the recording, or that person has agreed to have their voice cloned."
CLONE, CANCEL, CANCELLING = "Clone voice", "Cancel", "Stopping…"
NO_CONSENT = "Consent is not confirmed."
NO_CONSENT_ADVICE = "Tick this box if the person recorded is you or has agreed."


# The request as code
CODE = "As code"
CODE_COPY, CODE_COPIED, CODE_LANGUAGES = "Copy", "Copied", "Language"
CODE_TITLES = "Clone a voice", "Speak with it"


# Who clones
BACKEND = "Who clones the voice?"
BACKENDS = ("This machine", "Novita (hosted, paid)")
BACKEND_HINT = "This machine is free. Novita needs a key and costs money."
KEY = "Key for Novita"
KEY_HINT = "Your own key, or one that the owner of this page gave you. It is used for this visit and stored nowhere."
KEY_OWN = " Leave it empty to use the key this machine was started with."
KEY_WHERE = "Choose Novita on Clone, under Options, and enter the key there."
RECEIVER = "The recording goes to this page's own machine and to nobody else."
RECEIVER_HOSTED = (
    "The recording goes to Novita, which has MiniMax clone it. It is also kept here, with the voice, and goes to "
    "nobody else."
)
COST_UNKNOWN = "What this may cost is said once text and model are complete."
NO_WAY = "A file here has no address from which Novita could download it."
WAYS = (
    "Give the recording as a link, or have whoever runs this app set TIMBRE_PUBLIC_URL or an S3 bucket as "
    "TIMBRE_STORE_URL."
)
PART_SAID = "{} of {} sentences"
STOPPED_SAID = "Stopped after {}. What was spoken is kept."
GO_ON = "Speak the same text again to go on from there."
STOPPED_PAID = "Stopped. If the request was already sent, it is still paid for."
STOPPED_HOSTED = f"{STOPPED_PAID} Its voice then appears among your voices in a minute; look there first."


# Whose visit it is
WHOSE = (
    "You are a visitor here, with voices of your own. This page's owner is whoever opens the address that make run "
    "printed last."
)
FOREIGN = (
    "This was asked for by a page of another address, and is refused. If this page stands behind a proxy, whoever runs "
    "it has to set TIMBRE_PUBLIC_URL."
)


# Under everything
FOOT_API = "API"
FOOT = (
    ("MCP", "An agent finds the tools check, clone, speak and voices at this page’s address, under /gradio_api/mcp/."),
    (
        "Where is my key?",
        "The API’s key is in the file api_key in the folder TIMBRE_HOME, ~/.local/share/timbre unless it was set, on "
        "the machine that runs this page. Whoever runs it may name others in TIMBRE_API_KEYS.",
    ),
    (
        "Privacy",
        "Recordings, voices and what they say stay on the machine that runs this page. A voice that nobody keeps or "
        f"speaks with is deleted after {_DAYS} days, a forgotten one at once. No text and no voice is logged. Nothing "
        "is sent anywhere, unless you choose Novita.",
    ),
)

# Progress
STARTING = "Starting"
STOPPED = "Stopped. Everything you entered is still here."
UNEXPECTED = "Something went wrong on our side."
UNEXPECTED_ADVICE = "Nothing you entered is lost. Please try again."
OLD_PAGE = "This page is older than what it asks. Please reload it and try again."
NO_VISITOR = "This page has lost track of your visit."
NO_VISITOR_ADVICE = "Please reload it and try again."


def waiting(position: int) -> str:
    """Say where in the queue a request is."""
    return "Waiting: you are next" if position <= 1 else f"Waiting: {position - 1} ahead of you"


# 6 Result
RESULT = "The new voice"
ORIGINAL, CLONED = "Original", "Clone"
COMPARE, COMPARE_NOTE = "Hear the original or the clone", "All at the same loudness; switch while it plays."
CHANGE = "Change recording"
WORDS_TITLE = "Words"
AGAIN, SHARE_CARD = "Go on in Write", "Share card"
HEAR_OTHER, BOTH_HEARD = "Hear it in {}, and keep it", "Both qualities are under the switch."
TRY, TRY_HINT = "Write something else", "It is spoken right here, and the voice is then kept for good."
SAVE_CARD = "Save the card of {}"
VOICE_ID = "voice_id"
NO_PREVIEW = "The voice is made, without a preview."
NO_PREVIEW_ADVICE = "Try another sentence to hear it."
REPLAYED = "You made this voice before, from the same recording and settings, so here it is again."
LIKENESS = "Likeness"
LIKENESS_NOTE = "Likeness compares voices, not words. It is measured on this machine, whoever made the clone."
LIKENESS_ENDS = ENDS


def likeness(alike: Likeness) -> str:
    """Say how alike clone and original are."""
    return in_words(alike)


def span(hours: int) -> str:
    """Say a number of hours as days and hours."""
    if hours < 48:
        return "less than an hour" if hours < 1 else f"{hours} h"
    return f"{hours // 24} days" + (f" {hours % 24} h" if hours % 24 else "")


def expires(hours: int, day: datetime) -> str:
    """Say when a voice expires."""
    return f"Expires in {span(hours)}, on {day.day} {day:%B %Y, %H:%M} UTC"


# Voices
VOICES = "Your voices"
VOICES_EMPTY, CLONE_ONE = "No voices yet. The ones you clone will be listed here.", "Clone a voice"
VOICES_ADVICE = f"A voice expires {_DAYS} days after cloning. If you keep it or speak with it, it stays for good."
SEARCH, SORT, MORE = "Search", "Sort by", "Show more"
SORTS = {"newest": "Newest", "name": "Name", "expires": "Expires soonest", "likeness": "Likeness"}
RENAME, NAME, NOTE, NOTE_ADD, SAVE, COPY = "Rename", "Name", "Note", "Add a note", "Save", "Copy"
PLAY, PLAY_ORIGINAL, SPEAK, SHARE, FORGET, UNDO = "Play preview", "Play original", "Speak", "Share", "Forget", "Undo"
MENU, PICK, PICKED, PICK_NONE, KEEP_ALL = "More for", "Choose", "With the chosen voices", "Choose none", "Keep for good"
SHOW, SHOWS = "Show", {"all": "All", "soon": "Expires this week", "kept": "Kept for good", "hosted": "At Novita"}
SEARCH_CLEAR = "Clear search"
IMPORT, IMPORT_FILE = "Import voices", "A file of voices that was exported (.timbre)"
IMPORT_CONSENT = "Everybody recorded in this file is me, or has agreed to have their voice cloned."
IMPORT_NO_CONSENT_ADVICE = "Tick this box if everybody recorded is you or has agreed."
NO_IMPORT = ("There is no file yet.", "Choose one, or drop it here.")
IMPORT_STOPPED = "Stopped. What came in before stays."
KEEP, KEEP_FREE, KEEP_FOR_GOOD = "Keep", "Keep", "Keep for good"
KEEP_ASK = "Keep this voice for good? Novita keeps it once it has said something, so it says “Hi.”"
KEEP_YES, KEEP_NO = "Yes, keep it", "Not now"
KEEP_PAID, KEEP_PAID_ADVICE = "Keeping this voice costs money.", "Press Keep, and say whether you want that."
KEPT_NOW = "The voice is kept for good, here and at Novita."
HOSTED, HERE = "Novita", BACKENDS[0]
KEPT = "Kept for good"
# What the page says by itself, without asking the server; each {} is a value.
LISTED = {
    "one": "{} voice",
    "all": "{} voices",
    "some": "{} of {}",
    "ends": "Expires in {}",
    "over": "Expired",
    "kept": KEPT,
    "note": "Edit note",
    "copied": "Copied",
    "gone": "{} was forgotten.",
    "back": "{} is back.",
    "undo": "Undo ({} s)",
    "play": PLAY,
    "none": "No voice matches “{}”.",
    "fits": "No voice is like that.",
    "picked": "{} chosen",
}
UNLESS_SPOKEN = " unless you speak with it"
UNNAMED = "Voice"
PENDING, PENDING_ADVICE = "May have been paid", "Look at voices and balance in Novita's console, then say how it was."
PENDING_OF = {"clone": "The clone of {}", "keep": "Keeping {} for good", "speech": "Speech with {}"}
PENDING_ID, PENDING_KEEP, PENDING_DISMISS = "Its voice_id there", "It went through: keep it", "It did not: dismiss it"
PENDING_SENT = "Sent on {:%d %B %Y, %H:%M} UTC; no answer came. Remembered until {:%d %B}."
PENDING_KEPT, PENDING_DISMISSED = "It is kept.", "It is dismissed, and may be sent again."
# Speak
SPEAK_TITLE, SPEAK_BUTTON, SPOKEN = "Write", "Speak", "Spoken"
SPEAK_ADVICE = "Choose a voice and write what it says. You hear it from the first sentence on."
SPEAK_VOICE, SPEAK_VOICE_HINT = "Voice", "Speaking with a voice keeps it for good."
SPEAK_NO_VOICES = f"There is no voice yet. [{CLONE_ONE}](#clone)"
SPEAK_TEXT, SPEAK_HEAR = "Text to speak", "▶ Hear it"
SPEAK_HOW = "Speed, pitch, volume and format"
READINGS = "Pronunciations, of this voice", "Pronunciations, of all voices"
READINGS_HINT = "A word a line: Nguyen = win"
READING_WRONG, READING_ADVICE = (
    "“{}” is no pronunciation: a word, = and how it is said, each up to {} characters.",
    "Write it as Nguyen = win.",
)
SPEED, PITCH, GAIN, FORMAT = "Speed", "Pitch, in semitones", "Volume", "File format"
FORMATS = ("mp3", "wav", "flac")
TAKES, TAKES_EMPTY = (
    "Spoken before",
    "What you let your voices say is kept here, sentence by sentence, as long as its voice.",
)
TAKE_OPEN = "Open"
DOCUMENT, DOCUMENT_ADVICE = (
    "Sentence by sentence",
    "Hear each, speak it again, or mend it; only what changed is spoken anew.",
)
SENTENCE, ANOTHER_TAKE, EDIT = "Sentence {}", "Another take of sentence {}", "Edit sentence {}"
TAKE, TAKE_OF, CHANGED, CHANGES = "Take {}", "Take of sentence {}", "changed", "Speak changes: {}"
EXPORT, EXPORT_AS, LEVEL = "Export", "Export as", "Loudness"
EXPORTS = {
    "mp3": ".mp3",
    "wav": ".wav",
    "flac": ".flac",
    "Audiobook with chapters (m4b)": ".m4b",
    "Subtitles (srt)": ".srt",
    "Subtitles (vtt)": ".vtt",
    "A file for each sentence (zip)": ".zip",
}
LEVELS = {"As spoken": 0, "Audiobook, −19 LUFS": -19, "Podcast, −16 LUFS": -16}
BATCH, BATCH_FILE, BATCH_RUN = "Speak a table of texts", "The table (CSV)", "Speak the table"
NO_TABLE = ("There is no table yet.", "Choose one, or drop it here.")
OPEN_TEXT, OPENED = "Open a text file", "Opened: {}."
UNKNOWN_MARKUP = "Not understood, and not read out: {}"
DIALOGUE, DIALOGUE_LINES = "Read it as a dialogue", "Lines with a name are said by that voice. {}"
PAUSE_BUTTON, PAUSE_MARK = "Pause", " <#0.5#> "
NO_VOICE, NO_VOICE_ADVICE = "No voice is chosen.", "Choose one of your voices, or clone one first."
RECORDING = "Recording"
VOICE_GONE = "This voice is no longer here."
VOICE_GONE_ADVICE = "It was removed or has expired."


def voice_choice(name: str, voice_id: str, backend: str) -> str:
    """Name a voice in a list: with the end of its id, for names may be the same."""
    where = f" · {HOSTED}" if backend == "novita" else ""
    return f"{name or UNNAMED}{where} · …{voice_id[-6:]}"


def excerpt(text: str) -> str:
    """Return the beginning of a text, in quotation marks."""
    flat = " ".join(text.split())
    return f"“{flat}”" if len(flat) <= 80 else f"“{flat[:77].rstrip()}…”"


def download(kind: str) -> str:
    """Say what a link downloads."""
    return f"Download {kind}"


def words_heard(n_heard: int, n_words: int) -> str:
    """Say how many words of a text were heard in its preview."""
    if n_heard == n_words:
        return f"All {n_words} words of the text are heard in the preview."
    return f"{n_heard} of {n_words} words of the text are heard in the preview; the others are marked."


def code_link(until: str) -> str:
    """Say how long the link in the code is good."""
    return f"A link lends the recording to this code until {until} UTC. Only whoever has the link can fetch it."


def likeness_fact(alike: Likeness) -> str:
    """Say how alike clone and original are, in a list."""
    return in_short(alike)


def player(kind: str, name: str) -> str:
    """Say what the player of the list holds."""
    return f"{'Original' if kind == 'reference' else 'Preview'} of {name}"
