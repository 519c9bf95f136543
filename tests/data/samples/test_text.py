"""Lines, and what cleaning makes of the texts of the web; what it leaves alone."""

import io
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.tokenizer import SimpleTokenizer

from cloc.data.samples.text import (
    AT_MOST,
    clean,
    clean_spans,
    decode,
    flat,
    lines,
    spell_out_unprintable,
)
from cloc.scenes.generate import composed

ROOT = Path(__file__).parents[3]
FOREIGN_ENDS = "\v\f\x1c\x1d\x1e\x85\u2028\u2029"
CLEANED = {
    "<b>red star</b> &amp; blue ring": "red star & blue ring",
    "&lt;b&gt;red&lt;/b&gt; &amp;amp; blue &amp;lt;3": "red & blue <3",
    "one<br/>two<P class='x y' hidden>three</p>": "one two three",
    "H<sub>2</sub>O <o:p>in</o:p> <foo id=1>a glass": "H2O in a glass",
    "<<b>i>bold <!-- no --><script>x < y</script>star <img src='a>b' alt=\"c\">": "bold star",
    'a star <a href="http://x.org/a': "a star",
    "it&#39;s 5 &#x201C;m&quot; &amp 3 &nbsp;&nbsp;&hearts;": 'it\'s 5 "m" & 3 ♥',
    "see https://x.org/a?id=3&amp;b=4, a star": "see, a star",
    "a star (http://x.org/wiki/star_(shape)).": "a star.",
    "WWW.x.org bit.ly/3x a star <ftp://x.org>": "a star",
    "写真はhttps://x.com/a?id=3です": "写真は です",
    "照片https://example.com/a 狗": "照片 狗",
    "http://x.com/日本 dog": "dog",
    "https://例え.jp/x dog": "dog",
    "https://ja.wikipedia.org/wiki/星_(曖昧さ)#項、 star": "、 star",
    "http://x.fr/été.html une étoile": "une étoile",
    "flic.kr/p/2abc goo.gl/maps/x star amzn.to/3x youtu.be/xyz": "star",
    "shop.example.nl/p/1 star x.com.au/a": "star",
    "www.例え.jp/星 star (lnkd.in/x) shop.example.it/p/1.": "star.",
    "<details><summary>a</summary>star</details> <main>on</main> <marquee>go": "a star on go",
    "<ruby>漢<rp>(</rp><rt>kan</rt></ruby> <time>9</time><label>h</label>": "漢(kan 9h",
    "cafÃ© dâ€™or": "café d'or",
    "â€œa starâ€\x9d": '"a star"',
    "\ufeffa\u200bb\xadc\u2028d\x0be\x85f\u3000\u2800g\x1b[31m\x00h \r\n i": "abc d e…f g h i",
    "it\x92s \ufb01ne \uff32\uff25\uff24 \u201cstar\u201d": 'it\'s fine RED "star"',
    "": "",
    "https://x.org": "",
    "<br>&nbsp;\u200b": "",
}
KEPT = [
    *(
        "a < b",
        "3 > 2",
        "I <3 stars",
        "R&B",
        "AT&T",
        "10 & 20",
        "Q&A;",
        "if a<b and c>d",
        "<-- star",
    ),
    *("<unk>", "<PERSON> smiles", "x <b and c> d", "cut&copy", "rock&region", "#1 &#2"),
    *(
        "red/blue",
        "1.5/2",
        "e.g./i.e.",
        "a cat.is/was in.to/out",
        "10 a.m./p.m.",
        "10.30.am/pm",
        "<3 a<b",
    ),
    *("this.and/or", "No.in/out", "a.b/c.d", "2.5in/6cm", "d.o.b./age", "jpg.png/gif", "etc./more"),
    *("and/or 24/7", "Mr.Smith/Jones", "an amazon.com box", "2034.jpg", "a.b.c", "c++ // star"),
    *(
        "ein Bär",
        "犬と猫、星。",
        "👩\u200d🚀 flies",
        "\u0645\u06cc\u200c\u062e\u0648",
        "ÅÄÖ Ã la carte",
    ),
    *("a \ud800 star", "l'été", "5 % off: $3 (new!)", "<table", "dog's <3", "&amplifier;"),
]


@pytest.mark.parametrize(("given", "cleaned"), CLEANED.items())
def test_what_is_cleaned(given, cleaned):
    assert clean(given) == cleaned
    assert clean(cleaned) == cleaned


@pytest.mark.parametrize("text", KEPT)
def test_what_stays(text):
    assert clean(text) == text


PIECES = [
    *CLEANED,
    *KEPT,
    *"<>&;#/\"' .:\u200d\xa0",
    "amp",
    "lt",
    "b",
    "39",
    "http",
    "www",
    "Ã",
    "©",
]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=6).map("".join))
def test_cleaning_twice_changes_nothing(text):
    once = clean(text)
    assert clean(once) == once
    assert once == " ".join(once.split())


@pytest.mark.parametrize("mark", FOREIGN_ENDS)
def test_no_separator_of_another_kind_joins_or_cuts_words(mark):
    assert clean(f"a{mark}b") in ("a b", "a…b")  # \x85 is an ellipsis of Windows
    assert flat(f" a{mark}b ") == "a b"


def test_the_scenes_are_as_they_were():
    for index in range(20):
        _, record = composed("val", index, seed=0, size=64, twins=0.5, relational=0.5)[:2]
        texts = [c.text for c in record.captions] + [r.text for r in record.regions]
        assert texts
        assert list(map(clean, texts)) == texts


SAME_TOKENS = [
    *KEPT,
    "&amp;amp; it&#39;s",
    "cafÃ© dâ€™or",
    "it\x92s \ufb01ne \uff32 \u201cstar\u201d",
    " a\xa0 b\n",
]


def test_clips_own_tokenizer_sees_no_difference():
    """But for what it does not know: tags, addresses, invisible characters."""
    tokenize = SimpleTokenizer()
    assert tokenize(list(map(clean, SAME_TOKENS))).equal(tokenize(SAME_TOKENS))


def test_spans_move_with_their_words():
    text = "<b>A red\u200b star</b> &amp; a  cafÃ©, http://x.org/star a red star"
    words = ["A red\u200b star", "a  cafÃ©", "a red star", " &amp; a"]
    spans = [(text.index(word), text.index(word) + len(word)) for word in words]
    cleaned = clean(text)
    found = clean_spans(text, spans)
    assert [cleaned[slice(*span)] for span in found] == list(map(clean, words))
    assert found[2] == (len(cleaned) - len("a red star"), len(cleaned))
    inside = [text.index(word) for word in ("amp", "org/star", "b>A")]
    assert clean_spans(text, [(at, at + 3) for at in inside]) == [None] * 3
    half = text.index("Ã©")
    assert clean_spans(text, [(half, half + 1)]) == [None]
    assert clean_spans("a red star", [(0, 1), (2, 6), (3, 3)]) == [(0, 1), (2, 5), None]


def test_lines_end_where_a_line_ends():
    assert lines(f"a{FOREIGN_ENDS}b\r\nc\rd\n\ne") == [f"a{FOREIGN_ENDS}b", "c", "d", "", "e"]
    assert lines("a\n") == ["a"]
    assert lines("") == []


def test_flat_is_for_what_is_not_prose():
    assert flat(" https://x.org/by/4.0\x00\n&amp; ") == "https://x.org/by/4.0 &amp;"
    assert flat(None) == flat(3) == ""


HOSTILE = [
    *("<" * 9999 + "b>" * 9999, "<b " * 9999, "<a b=" * 9999, '<a href="' * 4999, "<!--" * 9999),
    *("&amp;" * 7999, "&#38;" * 4999 + "#38;" * 3999, " " * 39_998 + "&", "<b" + " " * 39_998),
    *(
        "a." * 19_999 + "/",
        "http://" + "." * 39_000,
        "http://" + "(a" * 19_000,
        "é" + "www." * 9_000,
    ),
    *("x" * AT_MOST + "<b>&amp;",),
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_no_text_takes_long(text):
    begin = time.process_time()
    clean(text)
    assert time.process_time() - begin < 3


MESSAGES = {  # no files of other people: lines of messages, of a docstring, of our own output
    *(
        "cloc/data/loader.py",
        "cloc/data/samples/decode.py",
        "cloc/cli/region_demo.py",
        "cloc/data/samples/text.py",
    ),
    "cloc/cli/config/help.py",
    *(f"cloc/cli/bench/{name}.py" for name in ("data", "loss", "race")),
}


def test_no_reader_of_lines_cuts_at_other_marks():
    folders = ("cloc", "data_prep", "scripts")
    files = [p for f in folders for p in (ROOT / f).rglob("*.py") if "splitlines" in p.read_text()]
    assert {path.relative_to(ROOT).as_posix() for path in files} <= MESSAGES


WORDS = "a café, a naïve 星"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_utf_8_is_read_with_a_mark_and_without(encoding):
    assert decode(WORDS.encode(encoding)) == WORDS


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-16-le", "utf-32"])
def test_another_encoding_is_refused(encoding):
    with pytest.raises(ValueError, match=r"utf-8|NUL"):
        decode(WORDS[:15].encode(encoding))


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le"])
def test_plain_letters_of_two_bytes_are_refused(encoding):
    with pytest.raises(ValueError, match="as in UTF-16"):
        decode("a red star".encode(encoding))


def test_a_nul_here_and_there_is_no_encoding():
    assert decode(b"a\0b, a cat") == "a\0b, a cat"
    assert decode(b"\0\1") == "\0\1"
    assert decode(b"") == ""


def test_what_a_terminal_cannot_show_is_spelled_out(monkeypatch):
    for name in ("stdout", "stderr"):
        stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
        monkeypatch.setattr(sys, name, stream)
    spell_out_unprintable()
    print("日本", flush=True)
    print("é", file=sys.stderr, flush=True)
    assert sys.stdout.buffer.getvalue() == rb"\u65e5\u672c" + b"\n"
    assert sys.stderr.buffer.getvalue() == rb"\xe9" + b"\n"
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    spell_out_unprintable()  # of a notebook
