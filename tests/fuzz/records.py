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
    b"word\tpos\tner\n1990\tCD\tO\n#\tSYM\tO \n\n1\tCD\tO\t\n",
    b"1\tAda\tB-PER\n2\tmet\tO\n\n#\tx y\tz\n1\thim\tO\n2\tagain\tO\n",
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
CONLLUP = (
    b"# global.columns = ID FORM UPOS NER MISC\n# text = Ada met.\n1\tAda\tPROPN\tB-PER\t_\n"
    b"2\tmet\tVERB\tO\tSpaceAfter=No\n3\t.\tPUNCT\tO\t_\n\n1-2\tdel\t_\t_\t_\n1\tde\tADP\tO\t_\n1.1\tx\t_\t_\t_\n2\tel\tDET\tO\t_\n",
    b"# global.columns = FORM PARSEME:MWE\na\t1:VID\nb\t1\n\nc\t*\n",
)
CONLL2009 = (
    b"1\tAda\tAda\tAda\tNNP\tNNP\t_\t_\t2\t2\tSBJ\tSBJ\t_\t_\tA0\n"
    b"2\tmet\tmeet\tmeet\tVBD\tVBD\t_\t_\t0\t0\tROOT\tROOT\tY\tmeet.01\t_\n\n"
    b"1\tYes\tyes\tyes\tUH\tUH\t_\t_\t0\t0\tROOT\tROOT\t_\t_\n",
)
CONLL2012 = (
    b"#begin document (a/b); part 000\na/b 0 0 Ada NNP (TOP(S* - - - x (PERSON* (ARG0*) -\n"
    b"a/b 0 1 met VBD *)) meet 01 1 x *) (V*) (1)\n\na/b 0 0 Yes UH (TOP*) - - - x (A(B)) -\n\n#end document\n",
)
GERMEVAL = (
    b"#\thttp://x.example/a\t[2001-01-02]\n1\tAda\tB-PER\tO\n2\tmet\tO\tO\n\n#\thttp://x.example/b\t[2001-01-03]\t\n"
    b"1\tOslo\tB-LOC\tB-LOCderiv\n2\t.\tO\tO\n",
)
WIKINEURAL = (b"0\tAda\tB-PER\n1\tmet\tO\n\n0\tBo\tB-PER\n1\t.\tO\n",)
MIT = (b"O\tshow\nB-GENRE\tspace\nI-GENRE\twestern\n\nO\tme\n",)
ENTITIES = (b"-DOCSTART- -X- O O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n", b"Ada B-PER\nmet O\n")
CHUNKS = (b"EU NNP B-NP\nrejects VBZ B-VP\n\nit PRP B-NP\n",)
TOKEN_TABLE = (
    b'Sentence #,Word,POS,Tag\nSentence: 1,Ada,NNP,B-per\n,met,VBD,O\n,",",",",O\nSentence: 2,Bo,NNP,B-per\n',
    b"sent_id\ttoken\tner\n1\tAda\tB-PER\n1\tmet\tO\n2\tBo\tB-PER\n",
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

CSV_SEMICOLON = tuple(seed.replace(b",", b";") for seed in CSV)
FASTTEXT = (
    b"__label__pos a fine film\n__label__neg __label__long dull, and long\n\n",
    b"a fine film __label__pos\r\ndull __label__neg film\r\nno label\r\n",
)
AG_NEWS = (b'"3","A title","A text, \\ long"\n"4","Other","Text"\n', b"Class Index,Title,Description\n1,a,b\n")
IMDB = (b'review,sentiment\n"Fine, ""fine""",positive\nDull,negative\n', b"a,b\n")
AMAZON = (
    b'{"reviewText": "good", "overall": 5.0, "asin": "x"}\n{"reviewText": "bad", "overall": 1}\n',
    b'\n{"text": "good", "rating": 5.0, "images": []}\n{"text": "bad", "rating": 1}\n',
)
YELP = (b'{"text": "good", "stars": 5.0, "useful": 0}\n{"text": "bad", "stars": 1}\n',)
WIKITEXT = (b" \n = A Title = \n \n The <unk> sat , and 10 @,@ 000 ran . \n", b"= A =\n\n<unk> @-@ .\n")
JSON_WORDS = (
    *(b"{", b"}", b"[", b"]", b":", b",", b'"', b"null", b"true", b"false", b"NaN", b"Infinity", b"1e999", b"\\u0000"),
    *(b"\\ud800", b"\\", b'"text":', b'"tokens":', b'"spans":', b'"label":', b'"start":', b'"end":', b'"labels":'),
    *(b"[" * 300, b'{"a":' * 300, b"[" * 20_000, b"]" * 300, b'["a", 1, null]', b'{"text": "a", "start": 0, "end": 1}'),
    *(b'{"start": 0, "end": 1, "label": "X"}', b'"nbest":', b'""', b"[]", b"{}", b'{"text": "x"}\n'),
)
SEEDS = {
    "conll": CONLL,
    "conllu": CONLLU,
    "conllup": CONLLUP,
    "conll2009": CONLL2009,
    "conll2012": CONLL2012,
    "germeval": GERMEVAL,
    "wikineural": WIKINEURAL,
    "mit": MIT,
    "conll2000": CHUNKS,
    "conll2002": ENTITIES,
    "conll2003": ENTITIES,
    "token-table": TOKEN_TABLE,
    "tsv": TSV,
    "parallel": TSV,
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
    "csv-semicolon": CSV_SEMICOLON,
    "csv-tab": tuple(seed.replace(b",", b"\t") for seed in CSV),
    "fasttext": FASTTEXT,
    "ag-news": AG_NEWS,
    "dbpedia": AG_NEWS,
    "imdb": IMDB,
    "amazon": AMAZON,
    "yelp": YELP,
    "wikitext": WIKITEXT,
    "document": LINES,
}
WORDS = {
    "conll": (b"-DOCSTART-", b"B-PER", b"I-LOC", b"O", b"# a = b", b"#"),
    "conllu": (
        *(b"1-2", b"2-1", b"0-0", b"3-4\tx" + b"\t_" * 8 + b"\n", b"1.1", b"SpaceAfter=No", b"# text = ", b"\t_" * 8),
        *("²-²".encode(), "٣-٣".encode(), b"_", b"1\ta" + b"\t_" * 8 + b"\n"),
    ),
    "conllup": (b"# global.columns = ", b"FORM", b"ID", b"1-2", b"*"),
    "conll2009": (b"\t_", b"\tY", b"1\t"),
    "conll2012": (b"#begin document", b"(", b")", b"*", b"(X*", b" - "),
    "germeval": (b"#\t", b"B-PERpart"),
    "wikineural": (),
    "mit": (),
    "conll2000": (),
    "conll2002": (),
    "conll2003": (),
    "token-table": (b"Sentence #", b"Word", b"Tag", b"word,tag", b'""', b'"'),
    "parallel": (b"\t", b"a b\tc d\n"),
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
    "csv-semicolon": (b"text", b"label", b"label;text\n", b'""', b'"""', b';"', b'";', b"|", b"Text"),
    "csv-tab": (b"text", b"label", b"label\ttext\n", b'""', b'"""', b'\t"', b'"\t', b"|", b"Text"),
    "fasttext": (b"__label__", b" __label__a", b"__label__b "),
    "ag-news": (b"Title", b"Class Index,Title,Description\n", b'","', b'""'),
    "dbpedia": (b"Class Index,Title,Content\n",),
    "imdb": (b"review,sentiment\n", b'""'),
    "amazon": (b'"reviewText":', b'"overall":', b'"rating":', *JSON_WORDS[:12]),
    "yelp": (b'"stars":', b'"text":'),
    "wikitext": (b" = A = \n", b"<unk>", b" @-@ ", b" . ", b" , "),
    "document": (b"\n\n", b". A", b"Dr.", "。".encode(), b"?!", b"\n- ", b":-)"),
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
