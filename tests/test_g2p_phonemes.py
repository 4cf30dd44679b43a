"""Phonemes of the other languages: by known words, in symbols that Kokoro knows, with nothing lost."""

from __future__ import annotations

import pytest

from clone.engine.backend import LocalBackend
from clone.engine.g2p import chinese, espeak, japanese
from clone.engine.tts import Turbo

needs_espeak = pytest.mark.skipif(not espeak.installed(), reason="the extra requirements-languages.txt")
TEXTS = {
    "zh": "他说：“去海边的火车9:30从北京出发……”（真的！）2024年卖出1,250张票，涨了25%；我们用 Python。",
    "ja": "「きっと、来週の土曜日は海へ行きます！」と、彼は12.5%のPythonで1,250円…？",
    "es": "¿Dónde está la estación? «Allí», dijo; ¡son las 9.30 y cuesta 1.250 euros (más o menos)!",
    "fr": "Où est la gare ? « Là-bas », dit-elle ; le week-end, un bon vin blanc coûte 12,50 €…",
    "it": "Dov'è la stazione? «Là», disse: gli zii mangiano la pizza alle 9.30!",
    "pt": "Onde fica a estação? «Ali», disse a mãe; são nove horas e não chove…",
    "hi": "स्टेशन कहाँ है? “वहाँ”, उसने कहा। ट्रेन नौ बजे निकलती है!",
}


def english(words: str) -> str:
    return f"<{words}>"


@pytest.mark.parametrize(
    ("pinyin", "symbols"),
    [
        ("ni3", "ni↓"), ("hao3", "xau↓"), ("zhong1", "ꭧʊ→ŋ"), ("guo2", "kwo↗"), ("shi4", "ʂɨ↘"), ("si4", "sɨ↘"),
        ("xi1", "ɕi→"), ("nv3", "ny↓"), ("qu4", "ʨʰy↘"), ("yuan2", "ɥɛ↗n"), ("er2", "ɚ↗"), ("ma5", "ma"),
        ("liu2", "ljou↗"), ("hui4", "xwei↘"), ("lun4", "lwə↘n"), ("ying1", "i→ŋ"), ("wo3", "wo↓"), ("bo1", "pwo→"),
    ],
)  # fmt: skip
def test_syllables_of_mandarin(pinyin: str, symbols: str) -> None:
    assert chinese.syllable(pinyin) == symbols


def test_a_character_is_read_by_its_word() -> None:
    assert chinese.phonemes("银行", english) == "i↗nxa↗ŋ"
    assert chinese.phonemes("行人", english) == "ɕi↗ŋɻə↗n"
    assert chinese.phonemes("火車 Wi-Fi。", english) == "xwo↓ ꭧʰɤ→ <Wi-Fi>."


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("2024年3月5日", "二零二四年三月五日"), ("25%", "百分之二十五"), ("12.50元", "十二点五零元"),
        ("10,050", "一万零五十"),
        ("2个人", "两个人"), ("9:30", "九点三十分"), ("9:05", "九点零五分"),
        ("8:00", "八点整"), ("13800138000", "一三八零零一三八零零零"),
        ("0", "零"), ("10", "十"), ("110", "一百一十"),
        ("1001", "一千零一"), ("300000000", "三亿"), ("$5", "五美元"),
        ("007", "零零七"),
    ],
)  # fmt: skip
def test_numbers_in_chinese(written: str, said: str) -> None:
    assert chinese.with_numbers(written) == said


@pytest.mark.parametrize(
    ("kana", "symbols"),
    [
        ("トーキョー", "toːkʲoː"), ("シンブン", "ɕimbɯɴ"), ("デンキ", "deŋkʲi"),
        ("ガッコー", "ɡaʔkoː"), ("ツヅク", "ʦɨzɨkɯ"),
        ("ティー", "tʲiː"), ("ヒャク", "çakɯ"), ("ジュー", "ʥɨː"),
        ("フィ", "ɸi"), ("アンナイ", "annai"), ("ワタシ", "βataɕi"),
    ],
)  # fmt: skip
def test_moras_of_japanese(kana: str, symbols: str) -> None:
    assert japanese.spoken(kana) == symbols


def test_particles_are_read_as_said() -> None:
    assert japanese.phonemes("私は海へ行く。", english) == "βataɕi βa ɯmʲi e ikɯ."
    said = japanese.phonemes("4月9日、二人で Python。", english)
    assert said.replace(" ", "") == "ɕiɡaʦɨkokonoka,ɸɯtaɾʲide<Python>."


@pytest.mark.parametrize(
    ("digits", "said"),
    [
        ("0", "ゼロ"), ("10", "ジュー"), ("300", "サンビャク"),
        ("1600", "センロッピャク"), ("8800", "ハッセンハッピャク"),
        ("10050", "イチマンゴジュー"), ("100000000", "イチオク"),
    ],
)  # fmt: skip
def test_numbers_in_japanese(digits: str, said: str) -> None:
    assert japanese.number(digits) == said


def test_a_version_in_japanese_is_read_point_by_point() -> None:
    assert japanese.reading("1.2.3です") == "イチテンニテンサンデス"


@needs_espeak
@pytest.mark.parametrize(
    ("language", "text", "symbols"),
    [
        ("es", "¿Hola, amigo?", "ˈola, amˈiɣo?"),
        ("fr", "« Bonjour » !", "“bɔ̃ʒˈuʁ”!"),
        ("it", "Pizza (certo).", "pˈiʦːa (ʧˈɛrto)."),
    ],
)
def test_espeak_keeps_the_marks_and_writes_as_kokoro_does(language: str, text: str, symbols: str) -> None:
    assert espeak.phonemes(text, language) == symbols


@pytest.mark.parametrize("language", TEXTS)
def test_every_symbol_is_one_that_kokoro_knows(language: str, backend: LocalBackend) -> None:
    if language in espeak.VOICES and not espeak.installed():
        pytest.skip("the extra requirements-languages.txt")
    turbo = backend._networks.get(Turbo)
    lines = backend.script(TEXTS[language])
    assert {line.language for line in lines} == {language}
    for piece in (piece for line in lines for piece in line.phonemes):
        assert turbo.tokens(piece).shape == (1, len(piece) + 2), piece
