"""How well each language is understood: clones of one recording, heard by the engine's own recogniser.

python -m bench.languages RECORDING [CODE …]: of the languages that are installed, or of those named. Prints a table:
wrong words, or for Chinese wrong syllables and for Japanese wrong kana, for these have many ways to be written. Hindi
is counted as Urdu, the same language to the ear: the recogniser writes Hindi now in these, now in those letters.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from pypinyin import lazy_pinyin
from rapidfuzz.distance import Levenshtein

from clone.audio.reader import read
from clone.contract.speech import LANGUAGES
from clone.core.settings import Settings
from clone.engine.backend import Heard, LocalBackend
from clone.engine.conversion import SAMPLE_RATE
from clone.engine.g2p import chinese, japanese, languages
from clone.engine.transcript import bare

MODEL = "speech-2.8-hd"

TEXTS = {
    "en": (
        "The train to the coast leaves tomorrow morning, so we have to get up early.",
        "Last night it rained a lot, and everybody had forgotten their umbrella.",
        "The owner of the little restaurant is friendly, and his soup is cheap and good.",
    ),
    "zh": (
        "去海边的火车明天早上从北京出发，请大家提前半个小时到车站。",
        "昨天晚上下了一场大雨，街上的行人都带着雨伞，可是我忘记了。",
        "这家小饭馆的老板很热情，他做的面条又便宜又好吃，我们常常去那里吃午饭。",
    ),
    "ja": (
        "明日の朝、海へ行く電車は東京駅を出発します。",
        "昨日の夜は大雨だったので、傘を忘れた人はみんな困っていました。",
        "駅の近くの小さな食堂は、安くておいしいので、いつもたくさんの人が並んでいます。",
    ),
    "es": (
        "El tren a la costa sale mañana por la mañana, así que tenemos que levantarnos temprano.",
        "Anoche cayó mucha lluvia y todos se habían olvidado del paraguas.",
        "El dueño del pequeño restaurante es muy amable, y su sopa es barata y buena.",
        "Mi hermana trabaja en una escuela cerca del parque y vuelve a casa a las cinco.",
        "Compramos pan, queso y unas manzanas para el viaje a la montaña.",
        "El médico me dijo que debo caminar más y dormir ocho horas.",
        "Cuando llegamos al puerto, el barco ya había salido hacia la isla.",
        "Mañana vamos a pintar la cocina de color blanco.",
        "Los niños juegan en la calle hasta que se hace de noche.",
    ),
    "fr": (
        "Le train pour la côte part demain matin, il faut donc se lever tôt.",
        "Hier soir, il a beaucoup plu et tout le monde avait oublié son parapluie.",
        "Le patron du petit restaurant est très gentil, et sa soupe est bonne et pas chère.",
        "Ma sœur travaille dans une école près du parc et rentre à cinq heures.",
        "Nous avons acheté du pain, du fromage et des pommes pour le voyage.",
        "Le médecin m'a dit de marcher davantage et de dormir huit heures.",
        "Quand nous sommes arrivés au port, le bateau était déjà parti.",
        "Demain, nous allons peindre la cuisine en blanc.",
        "Les enfants jouent dans la rue jusqu'à la tombée de la nuit.",
    ),
    "it": (
        "Il treno per la costa parte domani mattina, quindi dobbiamo alzarci presto.",
        "Ieri sera è caduta molta pioggia e tutti avevano dimenticato l'ombrello.",
        "Il padrone del piccolo ristorante è molto gentile, e la sua zuppa è buona e costa poco.",
        "Mia sorella lavora in una scuola vicino al parco e torna a casa alle cinque.",
        "Abbiamo comprato pane, formaggio e mele per il viaggio in montagna.",
        "Il medico mi ha detto di camminare di più e di dormire otto ore.",
        "Quando siamo arrivati al porto, la nave era già partita per l'isola.",
        "Domani dipingiamo la cucina di bianco.",
        "I bambini giocano per strada fino a quando fa buio.",
    ),
    "pt": (
        "O trem para o litoral parte amanhã de manhã, então precisamos acordar cedo.",
        "Ontem à noite choveu muito e todo mundo esqueceu o chapéu em casa.",
        "O dono do pequeno restaurante é muito simpático, e a sopa dele é boa e barata.",
        "Minha irmã trabalha numa escola perto do parque e volta para casa às cinco.",
        "Compramos pão, queijo e maçãs para a viagem à montanha.",
        "O médico me disse para caminhar mais e dormir oito horas.",
        "Quando chegamos ao porto, o barco já tinha saído para a ilha.",
        "Amanhã vamos pintar a cozinha de branco.",
        "As crianças brincam na rua até ficar de noite.",
    ),
    "hi": (
        "समुद्र तट के लिए ट्रेन कल सुबह निकलती है।",
        "कल रात बहुत बारिश हुई और सब लोग छाता भूल गए।",
        "छोटे होटल का मालिक बहुत अच्छा आदमी है।",
        "मेरी बहन बाग के पास एक स्कूल में काम करती है।",
        "हमने सफर के लिए रोटी और कुछ सेब खरीदे।",
        "डॉक्टर ने कहा कि मुझे रोज चलना चाहिए।",
        "जब हम स्टेशन पहुँचे तब गाड़ी जा चुकी थी।",
        "कल हम रसोई को सफेद रंग से रंगेंगे।",
        "बच्चे रात होने तक गली में खेलते हैं।",
    ),
}

HINDI_IN_URDU = (
    "سمندر تٹ کے لئے ٹرین کل صبح نکلتی ہے",
    "کل رات بہت بارش ہوئی اور سب لوگ چھاتا بھول گئے",
    "چھوٹے ہوٹل کا مالک بہت اچھا آدمی ہے",
    "میری بہن باغ کے پاس ایک اسکول میں کام کرتی ہے",
    "ہم نے سفر کے لئے روٹی اور کچھ سیب خریدے",
    "ڈاکٹر نے کہا کہ مجھے روز چلنا چاہئے",
    "جب ہم اسٹیشن پہنچے تب گاڑی جا چکی تھی",
    "کل ہم رسوئی کو سفید رنگ سے رنگیں گے",
    "بچے رات ہونے تک گلی میں کھیلتے ہیں",
)
HEARD_AS = {"hi": ("ur", HINDI_IN_URDU)}
"""What the recogniser is told that it hears, and the texts in its letters, where that isn't the language itself."""
ONE_SOUND = str.maketrans("صثطحھهذضظئيیكعآںٹڈڑ", "سستہہہزززےےےکااںتدر")
"""Letters of Urdu that sound alike, or nearly, and are mistaken for each other in writing."""


def _syllables(text: str) -> list[str]:
    return lazy_pinyin(chinese.with_numbers(bare(text).replace(" ", "")))


def _kana(text: str) -> list[str]:
    return list(japanese.reading(bare(text).replace(" ", "")))


def _words(text: str) -> list[str]:
    return bare(text).split()


def _urdu(text: str) -> list[str]:
    return _words(text.translate(ONE_SOUND))


UNITS: dict[str, tuple[str, Callable[[str], list[str]]]] = {
    "zh": ("syllables", _syllables),
    "ja": ("kana", _kana),
    "hi": ("words", _urdu),
}


def main(recording: Path, chosen: list[str]) -> None:
    backend = LocalBackend(Settings.from_environment().home / "weights")
    given = read(recording)
    profile = backend.learn(backend.listen(given.samples, given.sample_rate), None)
    print("| language | what is counted | wrong |\n|---|---|---|")
    for code in chosen or [code for code in LANGUAGES if languages.can_speak(code)]:
        unit, units = UNITS.get(code, ("words", _words))
        errors = total = 0
        heard_as, in_its_letters = HEARD_AS.get(code, (code, TEXTS[code]))
        for text, written in zip(TEXTS[code], in_its_letters, strict=True):
            for line in backend.script(text, code):
                spoken = Heard(backend.speak(profile, line, MODEL), SAMPLE_RATE, [])
                heard = backend.transcribe(spoken, (heard_as, 1.0))
                errors += Levenshtein.distance(units(written), units(heard))
                total += len(units(written))
                print(f"{code}: {heard}", file=sys.stderr)
        print(f"| {LANGUAGES[code]} | {total} {unit} | {100 * errors / total:.1f} % |", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
