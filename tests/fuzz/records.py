"""Valid files of every format of data, what they are made of, and what has to hold of every record."""

from __future__ import annotations

from collections.abc import Iterable

from seqkit.errors import SeqkitError
from seqkit.formats.writers import clean
from seqkit.records import Sentence

CONLL = (
    b"Ada B-PER\nmet O\n\nhim O\n. O\n",
    b"-DOCSTART- -X- O O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\n# NN O O\n",
    b"# a comment\nAda\tB-PER\n\n# id = 1\nmet\tO\n",
    b"\xef\xbb\xbfAda\r\nmet\r\n\r\nhim\r\n",
    "Zoë  B-PER\r日本 O\r\ré\u0301 O\r".encode(),
)
CONLLU = (
    b"# text = Ada met him.\n1\tAda\tAda\tPROPN\t_\t_\t2\tnsubj\t_\t_\n2\tmet\tmeet\tVERB\tVBD\t_\t0\troot\t_\t_\n"
    b"3\thim\the\tPRON\t_\t_\t2\tobj\t_\tSpaceAfter=No\n4\t.\t.\tPUNCT\t_\t_\t2\tpunct\t_\t_\n\n",
    b"1-2\tdel\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No\n1\tde\t_\tADP\t_\t_\t_\t_\t_\t_\n2\tel\t_\tDET\t_\t_\t_\t_\t_\t_\n"
    b"2.1\tx\t_\t_\t_\t_\t_\t_\t_\t_\n3\ts\xc3\xad\t_\tINTJ\t_\t_\t_\t_\t_\ta=b|c\n\n# sent_id = 2\n1\ta\t_\tX"
    + 6
    * b"\t_",
)
TSV = (
    b"label\ttext\npos\tAda met him.\nneg\t\n",
    b"pos\tgood\r\nneg\tnot good\r\n",
    b"id\ttext\tlabel\n7\ta b\tpos|neg\n",
)
CSV = (
    b'label,text\npos,"Ada, him ""and"" you"\nneg,"two\nlines"\n',
    b"pos,good\r\nneg,bad\r\n",
    b'text,label,n\n"",pos,1\n"a",neg,2\n',
)
TAGGED = (
    b'{"text": "Ada met", "tokens": ["Ada", "met"], "ner": ["B-PER", "O"], "n": [1, 2], "id": 7}\n{"text": "x"}\n',
    b'{"text": "Ada  met", "tokens": [{"text": "Ada", "start": 0, "end": 3, "label": "B-PER"}, '
    b'{"text": "met", "start": 5, "end": 8, "label": "O"}], "spans": [{"start": 0, "end": 3, "label": "PER"}]}\n\n',
    b'{"tokens": ["a"], "labels": ["O"]}\r\n{"tokens": [], "text": " "}\r\n',
    b'{"text": "\\ud83d\\u00e9\\u0000", "vector": [1, 2.5, -3e2], "more": {"a": [null, true]}}\n',
)
CLASSIFIED = (
    b'{"text": "good", "label": "pos"}\n{"text": "bad", "label": ["neg", "long"]}\n{"text": "", "label": 3}\n',
    b'{"text": "a", "label": true, "title": "T", "image": [[0, 0.5], [1, 2]]}\n{"tokens": ["a"], "label": "x"}\n',
)
LINES = (
    b"Ada met him.\n\n  two  \twords\r\nend",
    "床前明月光，疑是地上霜。\né\u0301 \U0001f469\u200d\U0001f467!\r\x85".encode(),
)
ARRAYS = (
    b'[{"text": "Ada met", "label": "a"},\n {"text": "him", "label": "b", "spans": [{"start": 0, "end": 3, '
    b'"label": "P"}]}]',
    b'{"version": 1, "data": [\n{"tokens": ["Ada"], "ner": ["B-P"]}, {"tokens": []}]}\n',
)
DOCCANO = (
    b'{"id": 1, "text": "Ada met\\nhim.", "label": [[0, 3, "P"], [8, 11, "P"]]}\n{"text": "x", "label": []}\n',
    b'{"text": "\\ud83d\\ude00 Ada", "entities": [{"id": 1, "label": "P", "start_offset": 3, "end_offset": 6}]}\n',
)
LABEL_STUDIO = (
    b'[{"id": 1, "data": {"text": "Ada met"}, "annotations": [{"result": [{"type": "labels", "to_name": "text", '
    b'"value": {"start": 0, "end": 3, "text": "Ada", "labels": ["P"]}}], "was_cancelled": false}]},\n'
    b'{"data": {"text": "x"}, "annotations": [{"result": [{"type": "choices", "value": {"choices": ["a"]}}]}]}]',
    b'[{"text": "Ada met", "label": [{"start": 0, "end": 3, "text": "Ada", "labels": ["P"]}], "annotator": 1, '
    b'"annotation_id": 2}]',
)
PRODIGY = (
    b'{"text": "Ada met", "tokens": [{"text": "Ada", "start": 0, "end": 3, "id": 0}, {"text": "met", "start": 4, '
    b'"end": 7, "id": 1}], "spans": [{"start": 0, "end": 3, "label": "P"}], "answer": "accept"}\n',
    b'{"text": "a", "accept": ["x"], "answer": "accept"}\n{"text": "b", "accept": [], "answer": "reject"}\n',
)
SPACY_JSON = (
    b'[["Ada met\\nhim.", {"entities": [[0, 3, "P"]], "cats": {"a": 1, "b": 0.0}}],\n["x", {"entities": []}]]',
    b'{"classes": ["P"], "annotations": [null, ["Ada", {"entities": [[0, 3, "P"]]}]]}',
)
WEBANNO = (
    b"#FORMAT=WebAnno TSV 3.3\n#T_SP=x.pos.POS|PosValue\n#T_SP=x.NamedEntity|identifier|value\n#T_RL=x.D|t|BT_x.POS\n\n"
    b"\n#Text=Ada\\_met him\n1-1\t0-7\tAda\\_met\tN\t*[1]\tP[1]|Q\t_\t_\t\n1-1.1\t0-3\tAda\t_\t_\t_\t_\t_\t\n"
    b"1-2\t8-11\thim\t_\t*[1]\tP[1]\t_\t_\t\n",
)

JSON_WORDS = (
    *(b"{", b"}", b"[", b"]", b":", b",", b'"', b"null", b"true", b"false", b"NaN", b"Infinity", b"1e999", b"\\u0000"),
    *(b"\\ud800", b"\\", b'"text":', b'"tokens":', b'"spans":', b'"label":', b'"start":', b'"end":', b'"labels":'),
    *(b"[" * 300, b'{"a":' * 300, b"[" * 20_000, b"]" * 300, b'["a", 1, null]', b'{"text": "a", "start": 0, "end": 1}'),
    *(b'{"start": 0, "end": 1, "label": "X"}', b'"nbest":', b'""', b"[]", b"{}", b'{"text": "x"}\n'),
)
SEEDS = {
    "conll": CONLL,
    "conllu": CONLLU,
    "tsv": TSV,
    "csv": CSV,
    "jsonl": TAGGED + CLASSIFIED,
    "json": ARRAYS,
    "doccano": DOCCANO,
    "label_studio": LABEL_STUDIO,
    "prodigy": PRODIGY,
    "spacy_json": SPACY_JSON,
    "spacy": (b"x",),
    "brat": LINES,
    "webanno": WEBANNO,
    "text": LINES,
    "tokens": LINES,
}
WORDS = {
    "conll": (b"-DOCSTART-", b"B-PER", b"I-LOC", b"O", b"# a = b", b"#"),
    "conllu": (
        *(b"1-2", b"2-1", b"0-0", b"3-4\tx" + b"\t_" * 8 + b"\n", b"1.1", b"SpaceAfter=No", b"# text = ", b"\t_" * 8),
        *("²-²".encode(), "٣-٣".encode(), b"_", b"1\ta" + b"\t_" * 8 + b"\n"),
    ),
    "tsv": (b"text", b"label", b"label\ttext\n", b"|", b"Text"),
    "csv": (b"text", b"label", b"label,text\n", b'""', b'"""', b',"', b'",', b"|", b"Text"),
    "jsonl": JSON_WORDS,
    **dict.fromkeys(("json", "doccano", "label_studio", "prodigy", "spacy_json"), JSON_WORDS),
    **dict.fromkeys(("spacy", "brat"), ()),
    "webanno": (
        b"[1]",
        b"|",
        b"*",
        b"_",
        b"\\",
        b"1-1.1\t0-1\ta",
        b"#Text=",
        b"#T_SP=a|b",
        b"#T_CH=a|b",
        b"ROLE_",
        b"9" * 30,
    ),
    "text": ("。".encode(), "，".encode(), b"http://", b"'s", b"U.S.", b"-", b"...", b":-)", b"@a", "·".encode()),
    "tokens": (),
}


def checked(sentence: Sentence) -> Sentence:
    """A record whose tokens stand where it says they do, with as many labels in every column."""
    assert len(sentence.tokens) == len(sentence.offsets)
    end = 0
    for (start, following), token in zip(sentence.offsets, sentence.tokens, strict=True):
        assert end <= start < following
        assert sentence.text[start:following] == token
        end = following
    for column in sentence.columns.values():
        assert len(column) == len(sentence.tokens)
        assert all(isinstance(label, str) and label for label in column)
    return sentence


def outcome(sentences: Iterable[Sentence]) -> tuple[list[Sentence], SeqkitError | None]:
    """The records that come, each one checked, and the fault that they end in."""
    found: list[Sentence] = []
    try:
        for sentence in sentences:
            found.append(checked(sentence))
    except SeqkitError as error:
        return found, error
    return found, None


def shown(sentence: Sentence) -> str:
    """All that a record says, for comparing records: a number that is none is not equal to itself."""
    return repr(sentence)


def mend(token: str, format: str) -> str:
    """A token as a format can hold it: two halves of a surrogate pair that meet in JSON are one character."""
    if format == "jsonl":
        return token.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return clean(token)
