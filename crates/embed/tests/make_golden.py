#!/usr/bin/env python3
"""Write golden/corpus.jsonl, golden/characters.txt and golden/vectors.jsonl: the answers of the reference tokenizer.

    pip install tokenizers==0.23.3 numpy
    python make_golden.py TOKENIZER_JSON      # tokenizer.json of all-MiniLM-L6-v2

The corpus is the same on every run: hand-picked lines and lines drawn with a fixed seed. Lines are JSON in ASCII, so
that characters which editors hide or turn around stay visible.
"""

import json
import random
import struct
import sys
from pathlib import Path

import numpy
from tokenizers import Tokenizer

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"

HAND_PICKED = [
    "", " ", "\t", "\n", "\r\n", "\u00a0", "\u3000", "\u200b", "\ufeff", "\x00", "\ufffd", "\x7f", "\x85", "\x0b\x0c",
    "Hello, World!", "HELLO WORLD", "What's the capital of France?", "What\u2019s the capital of France?",
    "\u201cQuoted\u201d and \u2018single\u2019 \u2014 dash \u2013 dash \u2026", "don't can't won't I'll you're",
    "caf\u00e9 na\u00efve r\u00e9sum\u00e9 co\u00f6perate", "cafe\u0301 nai\u0308ve re\u0301sume\u0301",
    "\u00c5ngstr\u00f6m \u212bngstr\u00f6m A\u030angstro\u0308m", "\u0130stanbul \u0131stanbul Istanbul \u0130\u0307",
    "STRASSE stra\u00dfe STRA\u1e9eE", "\u03a3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2 \u03a3\u0399\u03a3\u03a5\u03a6\u039f\u03a3",
    "\u039f\u0394\u03a5\u03a3\u03a3\u0395\u03a5\u03a3", "\ufb01nance \ufb02ow \ufb03 \ufb00", "\u01c4 \u01c5 \u01c6 \u01f1",
    "\u4f60\u597d\u4e16\u754c", "Hello\u4e16\u754cHello", "\u65e5\u672c\u8a9e\u3068\u6f22\u5b57", "\u30ab\u30bf\u30ab\u30ca \u3072\u3089\u304c\u306a",
    "\u30ac\u30ae\u30b0 \uff76\uff9e", "\uc548\ub155\ud558\uc138\uc694 \uc138\uacc4", "\u1112\u1161\u11ab\u1100\u1173\u11af", "\ud55c\uad6d\uc5b4 a\ud55cb",
    "\uf900\uf901\ufa0e\ufad9", "\U00020000\U0002a6d6\U0002a700\U0002b73f\U0002b740\U0002b81f\U0002b820\U0002b91f\U0002b920\U0002ceaf\U0002ceb0",
    "\U0002f800\U0002fa1f", "\u3400\u4dbf\u4dc0\u4e00\u9fff\ua000", "\u3007\u3021\u3038\u30fb\u30fc\u3001\u3002\u300c\u300d",
    "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440! \u0401\u0436\u0438\u043a \u0439\u043e\u0433\u0443\u0440\u0442", "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645\u060c \u0643\u064a\u0641\u061f",
    "\u0645\u064e\u0631\u0652\u062d\u064e\u0628\u064b\u0627", "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd \u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd",
    "abc \u202eright to left\u202c def \u2066x\u2069", "\u0928\u092e\u0938\u094d\u0924\u0947 \u0926\u0941\u0928\u093f\u092f\u093e\u0964",
    "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e0a\u0e32\u0e27\u0e42\u0e25\u0e01", "\u10d2\u10d0\u10db\u10d0\u10e0\u10ef\u10dd\u10d1\u10d0 \u1c92\u1c90\u1c9b", "\u0562\u0561\u0580\u0587 \u0544\u0535\u053e",
    "\u1e9b\u0323 \u1e0b\u0323 q\u0307\u0323", "a\u0328\u0301\u0302\u0303\u0304\u0305 b", "e" + "\u0301" * 50 + "f", "\u0301leading", "\u0301", "x \u0301 y",
    "\U0001d400\U0001d401 \U0001d4d0 \U0001d7d8\U0001d7d9 \u2102\u211d\u2115", "\u222b\u2211\u220f\u221a\u221e \u2260\u226e \u2264\u2265 \u2282",
    "x\u00b2 + y\u00b3 = z\u2074 \u00bd \u2153 \u2460 \u24d0 \u2160 \u216f", "$100 \u20ac100 \u00a3100 \u00a5100 \u20bf1 100% 5\u00b0 \u00a7 \u00b6 \u00a9 \u00ae \u2122",
    "\U0001f600\U0001f680 rocket \U0001f680 a\U0001f600b", "\U0001f468\u200d\U0001f469\u200d\U0001f467 family", "\U0001f1e9\U0001f1ea \U0001f1fa\U0001f1f8", "\u2764\ufe0f \u263a \u2603 1\ufe0f\u20e3",
    "\U0001f970 \U0001fae0 \U0001f9d1\U0001f3fd\u200d\U0001f4bb", "\uff28\uff45\uff4c\uff4c\uff4f\uff0c\uff01\uff1f \uff11\uff12\uff13", "\u0660\u0661\u0662 \u06f1\u06f2 \u0967\u0968",
    "[CLS] hello [SEP]", "[MASK]", "a[MASK]b", "[mask] [cls] [PAD][PAD]", "[ MASK ] [[MASK]] [MASK", "[UNK] e[MASK]\u0301", "[unused1] [unused99]",
    "\u00e9[SEP]\u00e9 \u4e2d[CLS]\u4e2d", "##ing ## #", "foo##bar", "a\u00ad\u200b\u200c\u200db", "a\x00b\x01c\x1fd\x7fe", "\u00e9\x00\u0301\u00e9\x07\u4e2d", "\u302e\x01\u302f\u302e",
    "\U0001d165\U0001d16d\U0001d165 \U0001d15e", "\u0f71\u0f72\u0f74 \u0f73\u0f75\u0f81", "\ue000\uf8ff \U000f0000 \U0010fffd", "\ufdd0\uffff\ufffe \U0001ffff \U0010ffff",
    "a" * 99, "a" * 100, "a" * 101, "a" * 1000, "\u00e9" * 100, "\u00e9" * 101, "\u4e2d" * 120, "-" * 150, "x" * 100 + "\u0301", "x" * 100 + "\u200b", "\uac00" * 33, "\uac00" * 50 + "a", "\uac01" * 34,
    "supercalifragilisticexpialidocious", "pneumonoultramicroscopicsilicovolcanoconiosis", "antidisestablishmentarianism unaffable",
    "fn main() { println!(\"{}\", x?.y::<u8>()); }", "SELECT * FROM t WHERE a >= 1 AND b <> 'x';", "https://example.com/a?b=c&d=%20#e user@example.com",
    "C:\\Users\\x\\y.txt ~/.config /usr/bin", "```python\nprint('hi')\n```", "\\frac{1}{2} \\int_0^\\infty e^{-x^2}\\,dx", "<b>bold</b> &amp; &#39;", "{\"a\": [1, 2.5, -3e10, null]}",
    "1,234,567.89 3.14159 0xdeadbeef 1e-9 v1.2.3-rc.1+b", "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", "a_b-c.d/e", "ALLCAPS MixedCase camelCase snake_case",
    "line one\nline two\r\nline three\tTab\u2028sep\u2029para", "\u037e \u0387 \u1fef \u1ffd \u1fbd \u00b4 \u00a8", "\u055a\u0589\u05be\u060c\u0964\u0e4f\u1400\u166d\u1680\u2e43\u2e52\u3030\ufe10\uff3f\U00010100\U0001e95e",
    "\u1734 \U000111c9 \u180e \u061c \u0890 \u08e2 \U000110cd \U00013430", "zalgo: Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f\u0334\u0319\u0324\u031e\u0349\u035a\u032f\u031e\u0320\u034dA\u036b\u0357\u0334\u0362\u0335\u031c\u0330\u0354L\u0368\u0367\u0369\u0358\u0320G\u0311\u0357\u030e\u0305\u035b\u0341\u0334\u033b\u0348\u034d\u0354\u0339O",
]

WORDS = (
    "the of and to in a is that for it as was with be by on not he his but at are this have from or had an they which "
    "one you were all her she there would their we him been has when who will no more if out so up said what its about "
    "than into them can only other time new some could these two may first then do any like my now over such our man me "
    "even most made after also well many must before way write python function explain derivative integral photosynthesis "
    "translate summarize hippopotamus quantum entanglement cryptography kubernetes microservice tokenization naturopathic "
    "transformer embeddings refactor polymorphism heteroscedasticity deoxyribonucleic xylophone zeitgeist schadenfreude"
).split()

RANGES = {
    "latin": [(0xC0, 0x24F), (0x1E00, 0x1EFF)], "marks": [(0x300, 0x36F), (0x1AB0, 0x1ACE), (0x1DC0, 0x1DFF), (0x20D0, 0x20F0), (0xFE20, 0xFE2F)],
    "greek": [(0x370, 0x3FF), (0x1F00, 0x1FFE)], "cyrillic": [(0x400, 0x52F), (0x1C80, 0x1C8A), (0x2DE0, 0x2DFF), (0xA640, 0xA69F)],
    "hebrew": [(0x591, 0x5F4), (0xFB1D, 0xFB4F)], "arabic": [(0x600, 0x6FF), (0x750, 0x77F), (0x8A0, 0x8FF), (0xFB50, 0xFDFF), (0xFE70, 0xFEFF)],
    "indic": [(0x900, 0xDFF)], "southeast": [(0xE01, 0xFFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x1A00, 0x1BFF)],
    "georgian": [(0x10A0, 0x10FF), (0x1C90, 0x1CBF), (0x530, 0x58F), (0x13A0, 0x13FF)], "ethiopic": [(0x1200, 0x139F)],
    "ideographs": [(0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0xF900, 0xFAFF)], "far ideographs": [(0x20000, 0x323AF), (0x2F800, 0x2FA1F)],
    "kana": [(0x3000, 0x30FF), (0xFF00, 0xFFEF), (0x3100, 0x312F)], "hangul": [(0xAC00, 0xD7A3), (0x1100, 0x11FF), (0x302A, 0x302F)],
    "punctuation": [(0x2010, 0x206F), (0x2E00, 0x2E5D), (0x3001, 0x3030), (0xFE10, 0xFE6B), (0xA1, 0xBF), (0x10100, 0x10102), (0x1800, 0x180F)],
    "symbols": [(0x2070, 0x2BFF), (0xA8, 0xB8)], "emoji": [(0x1F000, 0x1FAFF), (0x2600, 0x27BF), (0xFE00, 0xFE0F), (0x200D, 0x200D)],
    "mathematical": [(0x1D400, 0x1D7FF), (0x2100, 0x214F), (0x1EE00, 0x1EEFF)], "musical": [(0x1D100, 0x1D1FF)],
    "control": [(0x0, 0x1F), (0x7F, 0x9F), (0xAD, 0xAD), (0x200B, 0x200F), (0x2028, 0x202E), (0x2060, 0x206F), (0xFEFF, 0xFEFF), (0xFFF0, 0xFFFF), (0xE0001, 0xE007F)],
    "private": [(0xE000, 0xF8FF), (0xF0000, 0xF00FF)], "recent": [(0x10570, 0x105FF), (0x10EC0, 0x10FFF), (0x11380, 0x113FF), (0x11B00, 0x11B60), (0x16100, 0x16140), (0x16D40, 0x16D7F), (0x1E4D0, 0x1E5FF)],
    "old": [(0x10000, 0x100FF), (0x10280, 0x105FF), (0x10800, 0x10FFF), (0x11000, 0x11FFF), (0x12000, 0x123FF), (0x13000, 0x1345F)],
    "anything": [(0x0, 0xD7FF), (0xE000, 0x10FFFF)], "ascii": [(0x20, 0x7E)],
}


def drawn(random, name):
    ranges = RANGES[name]
    first, last = random.choices(ranges, [last - first + 1 for first, last in ranges])[0]
    return chr(random.randint(first, last))


def generated():
    """Lines of one class among words, lines of classes mixed, and words with marks in any order."""
    source = random.Random(20_240_601)
    names = list(RANGES)
    for name in names:
        for _ in range(45):
            words = []
            for _ in range(source.randint(1, 6)):
                kind = source.random()
                if kind < 0.3:
                    words.append(source.choice(WORDS))
                elif kind < 0.5:
                    word = source.choice(WORDS)
                    at = source.randint(0, len(word))
                    words.append(word[:at] + drawn(source, name) + word[at:])
                else:
                    words.append("".join(drawn(source, name) for _ in range(source.randint(1, 5))))
            yield " ".join(words)
    for _ in range(500):
        yield "".join(drawn(source, source.choice(names)) for _ in range(source.randint(1, 12)))
    for _ in range(250):
        base = "".join(source.choice("aeouncszAEOUNCSZ\u00e9\u00c5\u1ea4\u0419\u03ac\uac00\u30ab") + "".join(drawn(source, source.choice(["marks", "marks", "musical", "southeast", "control", "hangul"])) for _ in range(source.randint(0, 4))) for _ in range(source.randint(1, 6)))
        yield base
    for _ in range(300):
        words = [source.choice([str.lower, str.upper, str.title])(source.choice(WORDS)) for _ in range(source.randint(3, 14))]
        yield "".join(word + source.choice([" ", " ", " ", ", ", ". ", "'s ", "\u2019s ", "-", "\u2014", "? ", "; ", " (", ") ", "\n", "  "]) for word in words)
    for _ in range(150):
        yield "".join(source.choice(WORDS)[:source.randint(1, 9)] for _ in range(source.randint(2, 25)))
    for _ in range(60):
        yield "".join(source.choice(["[CLS]", "[SEP]", "[MASK]", "[PAD]", "[UNK]", "[", "]", "a", "\u00e9", "\u0301", " ", "\u4e2d", "\x00", "[cls]", "CLS"]) for _ in range(source.randint(1, 9)))


def main(tokenizer_file):
    tokenizer = Tokenizer.from_file(tokenizer_file)
    tokenizer.no_padding()
    tokenizer.no_truncation()

    def encode(text):
        return tokenizer.encode(text, add_special_tokens=False).ids

    def line(*values):
        return json.dumps(values, separators=(",", ":")) + "\n"

    GOLDEN.mkdir(exist_ok=True)
    lines = dict.fromkeys([*HAND_PICKED, *generated()])
    (GOLDEN / "corpus.jsonl").write_text("".join(line(text, encode(text)) for text in lines))

    # Every character inside a word and alone; consecutive ones with the same answer are one line.
    runs = []
    for code in range(0x110000):
        if 0xD800 <= code < 0xE000:
            continue
        ids = encode(f"a{chr(code)}b {chr(code)}")
        if runs and runs[-1][1] == code - 1 and runs[-1][2] == ids:
            runs[-1][1] = code
        else:
            runs.append([code, code, ids])
    text = "".join(f"{first:x} {last - first + 1:x} {' '.join(f'{i:x}' for i in ids)}\n" for first, last, ids in runs)
    (GOLDEN / "characters.txt").write_text(text)

    # A few vectors, computed from the table in double precision.
    file = (HERE.parent / "data" / "minilm-static-256.int8.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", file[:8])
    header, data = json.loads(file[8 : 8 + length]), file[8 + length :]
    tensor = lambda name, kind: numpy.frombuffer(data[slice(*header[name]["data_offsets"])], kind).reshape(header[name]["shape"])
    table = tensor("embedding_int8", numpy.int8).astype(float) * tensor("row_scale", "<f4").astype(float)[:, None]
    with open(GOLDEN / "vectors.jsonl", "w") as out:
        for text in HAND_PICKED:
            vector = table[encode(text)].sum(axis=0)
            norm = numpy.linalg.norm(vector)
            if len(text) > 30 and norm > 0:
                out.write(line(text, [round(float(component), 5) for component in vector[:8] / norm]))
    print(len(lines), "lines,", len(runs), "runs of characters")


if __name__ == "__main__":
    main(sys.argv[1])
