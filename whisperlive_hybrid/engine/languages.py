"""Names of the languages Whisper knows."""

from __future__ import annotations

from whisperlive_hybrid.errors import BadInput

# Code and English name, in the order of Whisper's language tokens (Radford et al. 2022, appendix E; yue: large-v3).
_TABLE = """
en english, zh chinese, de german, es spanish, ru russian, ko korean, fr french, ja japanese, pt portuguese, tr turkish,
pl polish, ca catalan, nl dutch, ar arabic, sv swedish, it italian, id indonesian, hi hindi, fi finnish, vi vietnamese,
he hebrew, uk ukrainian, el greek, ms malay, cs czech, ro romanian, da danish, hu hungarian, ta tamil, no norwegian,
th thai, ur urdu, hr croatian, bg bulgarian, lt lithuanian, la latin, mi maori, ml malayalam, cy welsh, sk slovak,
te telugu, fa persian, lv latvian, bn bengali, sr serbian, az azerbaijani, sl slovenian, kn kannada, et estonian,
mk macedonian, br breton, eu basque, is icelandic, hy armenian, ne nepali, mn mongolian, bs bosnian, kk kazakh,
sq albanian, sw swahili, gl galician, mr marathi, pa punjabi, si sinhala, km khmer, sn shona, yo yoruba, so somali,
af afrikaans, oc occitan, ka georgian, be belarusian, tg tajik, sd sindhi, gu gujarati, am amharic, yi yiddish, lo lao,
uz uzbek, fo faroese, ht haitian creole, ps pashto, tk turkmen, nn nynorsk, mt maltese, sa sanskrit, lb luxembourgish,
my myanmar, bo tibetan, tl tagalog, mg malagasy, as assamese, tt tatar, haw hawaiian, ln lingala, ha hausa, ba bashkir,
jw javanese, su sundanese, yue cantonese
"""

LANGUAGES: dict[str, str] = dict(entry.split(maxsplit=1) for entry in _TABLE.replace("\n", " ").split(", "))
LANGUAGES = {code.strip(): name.strip() for code, name in LANGUAGES.items()}
"""ISO code → English name, lower case."""

_OTHER_NAMES = {
    "mandarin": "zh",
    "castilian": "es",
    "valencian": "ca",
    "flemish": "nl",
    "burmese": "my",
    "haitian": "ht",
    "letzeburgesch": "lb",
    "pushto": "ps",
    "panjabi": "pa",
    "moldavian": "ro",
    "moldovan": "ro",
    "sinhalese": "si",
    "filipino": "tl",
    "farsi": "fa",
    "javanese": "jw",
    "jv": "jw",
    "iw": "he",
    "nb": "no",
    "fil": "tl",
    "cmn": "zh",
}
_CODES = {name: code for code, name in LANGUAGES.items()} | _OTHER_NAMES


def parse_language(value: str | None) -> str | None:
    """The code of a language given as code, English name or locale, in any case; None when it is to be detected.

    Raises BadInput naming `language`.
    """
    text = (value or "").strip().lower().replace("_", "-")
    if text in ("", "auto", "detect", "multi"):
        return None
    for candidate in (text, text.split("-")[0]):
        if candidate in LANGUAGES:
            return candidate
        if candidate in _CODES:
            return _CODES[candidate]
    raise BadInput(
        f"unknown language {value!r}: give an ISO 639-1 code such as en, an English name, or auto",
        param="language",
        accepted=("auto", *LANGUAGES),
        code="unknown_language",
    )


def language_name(code: str) -> str:
    """English name of a language code, lower case; the code itself where it is not known."""
    return LANGUAGES.get(code, code)
