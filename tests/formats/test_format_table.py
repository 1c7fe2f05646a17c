"""The table of formats in the documentation: each example is read here, so that what the table says is true.

``python tests/formats/test_format_table.py`` writes the table again.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from seqkit.corpora.resolve import resolve
from seqkit.formats.format import Description
from seqkit.formats.registry import FORMATS
from seqkit.formats.splitting import Splitter

PAGE = Path(__file__).resolve().parents[2] / "docs" / "formats.md"


_ABOUT = (
    "What a file looks like, and what is read from it. A format is recognised by the file's name and content;",
    "`--format NAME` says it where that is not enough. `seqkit data formats` lists all formats, and",
    "`seqkit data check FILE --task TASK` shows what a task would learn from a file. This page is written by",
    "`tests/formats/test_format_table.py`, which reads every example.",
)


class Example(NamedTuple):
    """A small file.

    Attributes:
        format: its format.
        task: the task that learns from it.
        name: its name.
        content: what is in it.
        read: what is read from the first records.
        is_recognised: whether it need not be said which format it is.
        beside: the content of a file that belongs to it, by extension.
    """

    format: str
    task: str
    name: str
    content: str
    read: str
    is_recognised: bool = True
    beside: tuple[str, str] = ("", "")


ROWS_2012 = (
    "#begin document (bn/x); part 000\n"
    "bn/x 0 0 Ann NNP (S(NP*) - - - - (PERSON) (ARG0*) -\nbn/x 0 1 ran VBD (VP*)) run 01 1 - * (V*) -\n\n"
    "#end document\n"
)
EXAMPLES = (
    Example("conll", "tag", "a.conll", "Ann NNP B-PER\nran VBD O\n\n", "Ann/B-PER ran/O"),
    Example("conll", "tag", "b.txt", "1 Ann B-PER\n2 ran O\n3 . O\n\n", "Ann/B-PER ran/O ./O"),
    Example("conll", "tag", "c.bio", "B-PER\tAnn\nO\tran\nO\tfar\n\n", "Ann/B-PER ran/O far/O"),
    Example("conll2000", "tag", "a.txt", "Ann NNP B-NP\nran VBD B-VP\n\n", "Ann/B-NP ran/B-VP", is_recognised=False),
    Example("conll2002", "tag", "a.txt", "Ana NP B-PER\ncorre VMI O\n\n", "Ana/B-PER corre/O", is_recognised=False),
    Example(
        "conll2003", "tag", "a.txt", "Ann NNP I-NP I-PER\nran VBD I-VP O\n\n", "Ann/I-PER ran/O", is_recognised=False
    ),
    Example(
        "conll2009",
        "tag",
        "a.conll09",
        "1\tAnn\t_\t_\tNNP\tNNP\t_\t_\t2\t2\tSBJ\tSBJ\t_\t_\n2\tran\t_\t_\tVBD\tVBD\t_\t_\t0\t0\tROOT\tROOT\t_\t_\n\n",
        "Ann/NNP ran/VBD",
    ),
    Example("conll2012", "tag", "a.gold_conll", ROWS_2012, "Ann/B-PERSON ran/O"),
    Example(
        "conllu",
        "tag",
        "a.conllu",
        "# text = Ann ran\n1\tAnn\tAnn\tPROPN\tNNP\t_\t2\tnsubj\t_\t_\n2\tran\trun\tVERB\tVBD\t_\t0\troot\t_\t_\n\n",
        "Ann/PROPN ran/VERB",
    ),
    Example(
        "conllup",
        "tag",
        "a.conllup",
        "# global.columns = ID FORM NER\n1\tAnn\tB-PER\n2\tran\tO\n\n",
        "Ann/B-PER ran/O",
    ),
    Example(
        "germeval",
        "tag",
        "a.tsv",
        "#\thttp://x\t[2009]\n1\tAnn\tB-PER\tO\n2\tlief\tO\tO\n\n1\tBo\tB-PER\tO\n2\tsang\tO\tO\n",
        "Ann/B-PER lief/O",
    ),
    Example(
        "wikineural", "tag", "a.conllu", "0\tAnn\tB-PER\n1\tran\tO\n\n0\tBo\tB-PER\n1\tsat\tO\n", "Ann/B-PER ran/O"
    ),
    Example(
        "mit",
        "tag",
        "a.bio",
        "O\tfind\nB-ACTOR\tzed\nI-ACTOR\tquill\n\n",
        "find/O zed/B-ACTOR quill/I-ACTOR",
        is_recognised=False,
    ),
    Example(
        "token-table",
        "tag",
        "a.csv",
        "Sentence #,Word,POS,Tag\nSentence: 1,Ann,NNP,B-per\n,ran,VBD,O\nSentence: 2,Bo,NNP,B-per\n",
        "Ann/B-per ran/O",
    ),
    Example("jsonl", "tag", "a.jsonl", '{"tokens": ["Ann", "ran"], "ner": ["B-PER", "O"]}\n', "Ann/B-PER ran/O"),
    Example(
        "jsonl",
        "tag",
        "b.jsonl",
        '{"text": "Ann ran", "spans": [{"start": 0, "end": 3, "label": "PER"}]}\n',
        "Ann/B-PER ran/O",
    ),
    Example(
        "jsonl", "classify", "c.jsonl", '{"text": "good", "label": 5.0}\n{"text": "bad", "label": 1.0}\n', "5.0: good"
    ),
    Example(
        "json",
        "classify",
        "a.json",
        '[{"text": "good", "label": "pos"},\n {"text": "bad", "label": "neg"}]\n',
        "pos: good",
    ),
    Example(
        "doccano",
        "tag",
        "a.jsonl",
        '{"id": 1, "text": "Ann ran.", "label": [[0, 3, "PER"]]}\n{"id": 2, "text": "Bo sat.", "label": []}\n',
        "Ann/B-PER ran/O ./O",
    ),
    Example(
        "prodigy",
        "tag",
        "a.jsonl",
        '{"text": "Ann ran", "spans": [{"start": 0, "end": 3, "label": "PER"}], "answer": "accept"}\n'
        '{"text": "Bo ran", "spans": [], "answer": "accept"}\n{"text": "x", "answer": "reject"}\n',
        "Ann/B-PER ran/O",
    ),
    Example(
        "label_studio",
        "tag",
        "a.json",
        '[{"data": {"text": "Ann ran"}, "annotations": [{"result": [{"type": "labels",\n'
        '  "value": {"start": 0, "end": 3, "text": "Ann", "labels": ["PER"]}}]}]},\n'
        ' {"data": {"text": "Bo ran"}, "annotations": [{"result": []}]}]\n',
        "Ann/B-PER ran/O",
    ),
    Example(
        "spacy_json",
        "tag",
        "a.json",
        '[["Ann ran", {"entities": [[0, 3, "PER"]]}],\n ["It rained", {"entities": []}]]\n',
        "Ann/B-PER ran/O",
    ),
    Example(
        "brat",
        "tag",
        "a.txt",
        "Ann ran.\nBo sat.\n",
        "Ann/B-PER ran/O ./O",
        beside=(".ann", "T1\tPER 0 3\tAnn\nT2\tPER 9 11\tBo\n"),
    ),
    Example(
        "webanno",
        "tag",
        "a.tsv",
        "#FORMAT=WebAnno TSV 3.3\n#T_SP=de.x.ner.type.NamedEntity|identifier|value\n\n\n"
        "#Text=Ann ran\n1-1\t0-3\tAnn\t*\tPER\t\n1-2\t4-7\tran\t_\t_\t\n\n"
        "#Text=Bo\n2-1\t8-10\tBo\t*\tPER\t\n",
        "Ann/B-PER ran/O",
    ),
    Example("tsv", "classify", "a.tsv", "pos\ta good film\nneg\ta bad film\n", "pos: a good film"),
    Example("tsv", "classify", "b.tsv", "text\tlabel\na good film\tpos\na bad film\tneg\n", "pos: a good film"),
    Example("csv", "classify", "a.csv", 'label,text\npos,"good, really"\nneg,bad\n', "pos: good, really"),
    Example("csv-semicolon", "classify", "a.csv", "label;text\npos;a good film\nneg;a bad film\n", "pos: a good film"),
    Example("csv-tab", "classify", "a.csv", 'label\ttext\npos\t"a good film"\nneg\t"bad"\n', "pos: a good film"),
    Example("parallel", "generate", "a.tsv", "the house\tdas Haus\na dog\tein Hund\n", "the house → das Haus", False),
    Example("fasttext", "classify", "a.txt", "__label__pos good fun\n__label__neg dull\n", "pos: good fun"),
    Example(
        "ag-news", "classify", "a.csv", '"3","Oil up","It rose."\n"1","War","It ends."\n', "3: Oil up It rose.", False
    ),
    Example("dbpedia", "classify", "a.csv", '1,"Acme","A firm."\n2,"Ann","A person."\n', "1: Acme A firm.", False),
    Example("imdb", "classify", "a.csv", "review,sentiment\nA good film.,pos\nBad.,neg\n", "pos: A good film.", False),
    Example(
        "amazon",
        "classify",
        "a.jsonl",
        '{"reviewText": "Good.", "overall": 5.0}\n{"reviewText": "Bad.", "overall": 1.0}\n',
        "5.0: Good.",
        False,
    ),
    Example(
        "yelp",
        "classify",
        "a.jsonl",
        '{"text": "Good.", "stars": 5}\n{"text": "Bad.", "stars": 1}\n',
        "5: Good.",
        False,
    ),
    Example(
        "jsonl",
        "classify",
        "d.jsonl",
        '{"frames": [[0.1, 2], [0.3, 4], [0.2, 3]], "label": "up"}\n{"frames": [[0.5, 1]], "label": "down"}\n',
        "up: 3 frames of 2 features",
    ),
    Example(
        "ts",
        "classify",
        "A_TRAIN.ts",
        "@problemName A\n@timeStamps false\n@dimensions 2\n@equalLength false\n@classLabel true up down\n@data\n"
        "0.1,0.3,0.2:2,4,3:up\n0.5:1:down\n",
        "up: 3 frames of 2 features",
    ),
    Example("numbers", "classify", "b.csv", "x,y\n0.1,2\n0.3,4\n0.2,3\n", "3 frames of 2 features"),
    Example("text", "lm", "a.txt", "Ann didn't run.\n", "Ann · didn't · run · ."),
    Example("tokens", "lm", "a.txt", "ann did n't <unk> .\n", "ann · did · n't · <unk> · ."),
    Example("wikitext", "lm", "wiki.train.tokens", " \n = Ann = \n \n Ann @-@ <unk> ran . \n", "= · Ann · ="),
    Example("document", "lm", "a.txt", "Dr. Ann ran\nhome. It rained.\n\n", "Dr · . · Ann · ran · home · .", False),
)
UNREAD = {
    "spacy": "Binary: `DocBin.to_disk` of spaCy writes it; needs the extra `seqkit-nlp[spacy]`.",
    "parallel-files": "Several files of a folder, `train.de` and `train.en`, a text a line, as many lines in each.",
    "npy": "Binary: `numpy.save` writes it. One sequence of vectors [N, F], or several, [S, N, F].",
    "npz": "Binary: `numpy.savez` writes it. A sequence of vectors [N, F] a member.",
    "audio": "Binary: .wav, .flac, .ogg and others; needs the extra `seqkit-nlp[audio]`. One sequence, its features.",
    "midi": "Binary: .mid; needs the extra `seqkit-nlp[midi]`. One sequence, frames of 88 keys.",
}
"""formats without an example of lines"""


def rendered(example: Example, folder: Path) -> str:
    """What is read from an example, in one line."""
    file = folder / example.name
    file.write_text(example.content, encoding="utf-8")
    if example.beside[0]:
        file.with_suffix(example.beside[0]).write_text(example.beside[1], encoding="utf-8")
    given = Description() if example.is_recognised else Description(example.format)
    dataset = resolve(file).described(given)
    assert dataset.splits["all"].first(texts=example.task == "classify")[1].format == example.format
    if dataset.has_frames:
        (record, *_) = [each for split in dataset.read_frames(["all"]).records.values() for each in split]
        label = f"{record.fields['label']}: " if record.fields else ""
        return f"{label}{record.source.shape[0]} frames of {record.source.shape[1]} features"
    if example.task == "tag":
        sentence = dataset.sentences("all", Splitter("words").split)[0]
        return " ".join(map("/".join, zip(sentence.tokens, sentence.column(dataset.target), strict=True)))
    if example.task == "classify":
        text = dataset.texts("all")[0]
        return f"{text.fields['label']}: {text.text}"
    if example.task == "generate":
        text = dataset.texts("all", text="target", label=None)[0]
        return f"{text.fields['source']} → {text.text}"
    splitter = Splitter("spaces" if dataset.has_tokens else "words")
    line = next(line for line in dataset.lines("all") if line.strip())
    return " · ".join(line[start:end] for start, end in splitter.split(line))


def fenced(content: str) -> list[str]:
    return ["```", *content.rstrip("\n").split("\n"), "```", ""]


def table(read: Sequence[str]) -> str:
    """The page of the documentation."""
    lines = ["# Formats", "", *_ABOUT, ""]
    for name, form in FORMATS.items():
        about = f"{form.content[0].upper()}{form.content[1:]}. Source: {form.source or 'seqkit'}."
        lines += [f"## {name}", "", about, ""]
        if name in UNREAD:
            lines += [UNREAD[name], ""]
        for example, found in zip(EXAMPLES, read, strict=True):
            if example.format != name:
                continue
            how = f"`{example.name}`" + ("" if example.is_recognised else f", with `--format {name}`")
            lines += [f"{how}, for `seqkit {example.task}`:", "", *fenced(example.content)]
            if example.beside[0]:
                lines += [f"beside it `{Path(example.name).stem}{example.beside[0]}`:", "", *fenced(example.beside[1])]
            lines += [f"is read as `{found}`", ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def all_read() -> list[str]:
    found = []
    for example in EXAMPLES:
        with tempfile.TemporaryDirectory() as folder:
            found.append(rendered(example, Path(folder)))
    return found


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda each: f"{each.format}-{each.name}")
def test_examples_are_read_as_the_table_says(example: Example, tmp_path: Path) -> None:
    assert rendered(example, tmp_path) == example.read


def test_every_format_has_an_example() -> None:
    assert {example.format for example in EXAMPLES} | UNREAD.keys() == FORMATS.keys()


def test_the_page_is_what_is_read() -> None:
    assert PAGE.read_text(encoding="utf-8") == table([example.read for example in EXAMPLES])


def main() -> Any:
    PAGE.write_text(table(all_read()), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
