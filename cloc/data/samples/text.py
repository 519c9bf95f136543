"""Texts that other people wrote: lines that end where a line ends, and captions cleaned once.

No torch here: data preparation and the loader both stand on this file.
"""

import html
import io
import re
import sys
from collections.abc import Iterable
from functools import cache
from html.entities import html5
from typing import Any

AT_MOST = 40_000  # characters; four times what a shard takes: a longer text is refused anyway
PASSES = 8  # what one pass uncovers ("&amp;lt;b&amp;gt;") the next one cleans

_LINE_END = re.compile(r"\r\n|\r|\n")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_SPACE = re.compile(r"(?:\x1b\[[\d;]*[a-zA-Z]|[\x00-\x20\x7f])+")  # colours of a terminal, too
_C1 = re.compile(r"[\x7f-\x9f]")

# One word after another: no `&`, `<`, `/`, nothing outside ASCII. Nearly every caption.
_PLAIN = re.compile(r"[!-%'-.0-;=-~]+(?: [!-%'-.0-;=-~]+)*")

# With its semicolon; without one only what nobody writes by chance ("cut&copy", "AT&T").
_ENTITY = re.compile(r"&(?:amp;)*(?:#\d{1,7};|#[xX][0-9a-fA-F]{1,6};|[A-Za-z]\w{1,31};)|&(?:amp;)+")
_OPEN_ENTITY = re.compile(r"&(?:amp|quot|nbsp|lt|gt|#\d{2,5}|#[xX][0-9a-fA-F]{2,4})(?![\w;])")

_INLINE = (
    "a abbr acronym b bdi bdo big blink cite code data del dfn em font i ins kbd label mark meter "
    "nobr output progress q rb rp rt rtc ruby s samp slot small span strike strong sub sup time tt "
    "u var wbr"
)
_BLOCKS = (
    "address applet area article aside audio base basefont bgsound blockquote body br button "
    "canvas caption center col colgroup datalist dd details dialog dir div dl dt embed fieldset "
    "figcaption figure footer form frame frameset h[1-6] head header hgroup hr html iframe img "
    "input keygen legend li link listing main map marquee math menu menuitem meta nav noembed "
    "noframes noscript object ol optgroup option p param picture plaintext portal pre script "
    "search section select source style summary svg table tbody td template textarea tfoot th "
    "thead title tr track ul video xmp"
)
_VALUE = r"""\s*=\s*(?:"[^"<]{0,2000}"|'[^'<]{0,2000}'|[^\s"'<>=]+)"""
_FLAGS = "allowfullscreen|async|autoplay|checked|controls|defer|disabled|hidden|loop|muted|nowrap"
_ATTRIBUTE = rf"(?:\s+(?:[a-z_:@][\w:.@-]*{_VALUE}|(?:{_FLAGS})\b))"
_NAMES = "|".join(f"{_INLINE} {_BLOCKS}".split())
# Elements of HTML, prefixed ones of Office (<o:p>), and whatever has attributes; so neither
# "a < b" nor <unk>, <PERSON> or <3 are tags.
_TAG = re.compile(
    rf"</?(?P<name>{_NAMES}|[a-z]\w*:[a-z]\w*){_ATTRIBUTE}*\s*/?>"
    rf"|<[a-z][\w-]*{_ATTRIBUTE}+\s*/?>|<(?:{_NAMES})\s+[a-z-]+\s*=[^<>]*\Z",
    re.IGNORECASE,
)
_UNSEEN = re.compile(
    r"<!--(?:(?!<!--).)*?-->|<(script|style)\b[^<>]*>(?:(?!<\1\b).)*?</\1\s*>"
    r"|<!doctype[^<>]*>|<\?xml[^<>]*>|<!\[CDATA\[|\]\]>",
    re.IGNORECASE | re.DOTALL,
)
_IS_INLINE = frozenset(_INLINE.split())

# Letters of scripts with spaces between words go on; those of others begin only behind a sign, so
# that of "x.jp/a?id=3です" the last two stay, and of "x.jp/日本" nothing.
_SPACED = "\u00c0-\u052f"
_SIGNS = rf"[!#-'*-;=?-Z\\^-z|~{_SPACED}]"
_UNSPACED = r"(?<=[/=_.?&#+%:-])[^\x00-\u052f\W]+"
_INNER = rf"\((?:{_SIGNS}|[^\x00-\u052f\W])*\)"
_REST = rf"(?:{_SIGNS}|{_UNSPACED}|{_INNER})*(?<![.,;:!?'])"
# Of addresses without a scheme. Country codes that are words ("is/was", "in/out") are none here:
# of these only hosts of three parts with letters, and the shorteners that people use.
_ENDS = (
    "com org net edu gov info biz io co ly me tv app dev xyz eu uk de fr jp ru cn nl kr gl au nz "
    "ca ch se dk fi pl cz sk hr rs hu ro bg gr tr pt br mx ar cl ua kz lt lv ee lu ie il ae za ke "
    "ng hk tw sg th vn ph pk lk gd gy cc fm ws"
)
_SHORT = (
    "youtu.be amzn.to redd.it pin.it dlvr.it lnkd.in instagr.am nyti.ms trib.al shor.by ebay.to "
    "ebay.us fb.watch spoti.fi n.pr pic.twitter.com"
)
_PART = "[a-z0-9-]{1,63}"
_DOMAIN = (
    rf"(?:(?:{_PART}\.){{1,5}}(?:{'|'.join(_ENDS.split())})|(?:[a-z][a-z0-9-]{{1,62}}\.){{2,5}}[a-z]{{2}}"
    rf"|{'|'.join(map(re.escape, _SHORT.split()))})"
)
_LINK = rf"(?<![0-9A-Za-z_{_SPACED}])(?:(?:https?|ftp)://|www\.(?=\w)|{_DOMAIN}/){_REST}"
_MAYBE_URL = re.compile(r"//|\.[a-z]{2,5}/|www\.", re.IGNORECASE)  # a tenth of the time
_URL = re.compile(rf" ?(?:[(\[<] ?{_LINK} ?[)\]>]|{_LINK})(?=([\s.,;:!?]|\Z)?)", re.IGNORECASE)

_BLANK = re.compile("[\u2800\u3164\uffa0]")  # letters of their scripts, but nothing to see
# Soft hyphens, marks of direction, byte order marks; joiners only where no script has them.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffc]"
    "|(?<![\u0300-\U0010ffff])[\u200c\u200d]|[\u200c\u200d](?![\u0300-\U0010ffff])"
)


def decode(data: bytes) -> str:
    """UTF-8, with or without a mark at its beginning; anything else raises `ValueError`.

    UTF-16 of western text is valid UTF-8 with a NUL beside every letter: refused too. A NUL here
    and there stays, as other control characters do.
    """
    text = data.decode("utf-8-sig")
    if any(half.count("\0") > 0.75 * len(half) > 1 for half in (text[::2], text[1::2])):
        raise ValueError("every other character is NUL, as in UTF-16")
    return text


def lines(text: str) -> list[str]:
    r"""Without their ends, which are \n, \r\n and \r and nothing else: `str.splitlines` also cuts
    at U+2028, U+0085, \v and \f, which stand inside captions and names of files."""
    found = _LINE_END.split(text)
    return found if found[-1] else found[:-1]


def spell_out_unprintable() -> None:
    r"""From here on what the encoding of stdout and stderr lacks is printed as \uXXXX."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file of a notebook's need not be one
            stream.reconfigure(errors="backslashreplace")


def flat(text: Any) -> str:
    """One line without control characters, else as it is; "" for what is no text."""
    return " ".join(_CONTROLS.sub(" ", text).split()) if isinstance(text, str) else ""


def clean(text: str) -> str:
    """A caption, a phrase or a class name as people read it, on one line; "" where nothing is left.

    Tags of HTML and addresses of the web go, entities become characters (also those that were
    escaped twice), what was decoded wrongly is mended and typographic forms become plain ones as
    in CLIP's own tokenizer (ftfy), control, invisible and white characters are one space or none.
    "a < b", "<3", "AT&T" and "<unk>" stay. Cleaning twice changes nothing. Half a surrogate pair
    stays, for the reader to refuse; a text over AT_MOST characters is made one line only.
    """
    if _PLAIN.fullmatch(text) and "www." not in text.lower():
        return text
    if len(text) > AT_MOST:
        return flat(text)
    for _ in range(PASSES):
        before, text = text, _cleaner(text)
        if text == before:
            break
    return text


def clean_spans(text: str, spans: Iterable[tuple[int, int]]) -> list[tuple[int, int] | None]:
    """Where `text[start:end]` of each span stands in `clean(text)`: there is, cleaned, what was
    there. None where nothing of it is left, or cleaning joins it with what is around it."""
    cleaned = clean(text)
    return [_moved(text, cleaned, start, end) for start, end in spans]


def _moved(text: str, cleaned: str, start: int, end: int) -> tuple[int, int] | None:
    inner = clean(text[start:end])
    if not inner:
        return None
    if cleaned == text and inner == text[start:end]:
        return start, end
    left, right = clean(text[:start]), clean(text[end:])
    for begin in (len(left), len(left) + 1):  # a space may stand between
        stop = begin + len(inner)
        parts = (cleaned[:begin].rstrip(), cleaned[begin:stop], cleaned[stop:].lstrip())
        if parts == (left, inner, right):
            return begin, stop
    return None


def _cleaner(text: str) -> str:
    """One pass."""
    text = _SPACE.sub(" ", text)
    if "&" in text:
        text = _OPEN_ENTITY.sub(_unescaped, _ENTITY.sub(_unescaped, text))
    if "<" in text or "]]>" in text:
        text = _TAG.sub(_gap, _UNSEEN.sub(" ", text))
    if _MAYBE_URL.search(text):
        text = _URL.sub(lambda match: " " if match[1] is None else "", text)
    if not text.isascii():
        ftfy, config = _ftfy()
        text = ftfy.fix_text(_BLANK.sub(" ", text), config)
        text = _C1.sub(" ", _INVISIBLE.sub("", text))
    return " ".join(text.split())


def _unescaped(match: re.Match[str]) -> str:
    """ "&amp;amp;lt;" is "<"; a name that HTML does not have stays."""
    last = match[0].rpartition("&")[2] if match[0][-1] != ";" else match[0][1:]
    while last.startswith("amp;"):
        last = last[4:]
    if not last:
        return "&"
    known = last[0] == "#" or last in html5 or last in ("amp", "quot", "nbsp", "lt", "gt")
    return html.unescape(f"&{last}") if known else f"&{last}"


def _gap(match: re.Match[str]) -> str:
    """H<sub>2</sub>O is one word, one<br>two are two."""
    return "" if (match["name"] or "").lower() in _IS_INLINE else " "


@cache
def _ftfy() -> tuple[Any, Any]:
    """Entities are ours, which look deeper; a lone surrogate must not become a letter."""
    import ftfy  # the fast way above needs none of it

    config = ftfy.TextFixerConfig(unescape_html=False, fix_surrogates=False, explain=False)
    return ftfy, config
