"""Text ↔ the units that a language model predicts: words, characters or byte pairs."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from seqkit.errors import ModelError, shown
from seqkit.formats.splitting import Splitter
from seqkit.formats.writers import clean
from seqkit.waiting import interruptible

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_Result = TypeVar("_Result")

UNIT_KINDS = ("word", "char", "bpe")
_BYTES = 256
_PIECE = 1 << 16
LONGEST_PIECE = 1024
"""characters without a border between words, but for a space before them, that byte pairs are learned from and found in
together: learning takes time that grows with the square of their number. Running text has fewer than a hundred"""
_RUN = re.compile(r"\S+|\s+")
_APART = re.compile(r"(?<=[^\W_]) (?=\S)")
"""spaces at which a text can be cut without changing its units (after a full stop, the next word could change them)"""


class Units:
    """Splits text into the units of a language model, and joins units to text.

    - ``word``: the tokens of a `Splitter`; joined with a space between two words, so that white space is not kept.
    - ``char``: code points, also line breaks.
    - ``bpe``: byte pairs (Sennrich, Haddow & Birch 2016, on bytes as in Radford et al. 2019), learned from a text by
      the library `tokenizers`. Every text can be split and joined again without a change. No unit crosses a border
      between words, of which there is one after every `LONGEST_PIECE` characters at the latest.

    Make one with `Units.word`, `Units.char`, `Units.train_bpe` or `Units.from_json`.

    Args:
        kind: one of `UNIT_KINDS`.
        splitter: splits a line into words, for kind ``word``.
        tokenizer: a tokenizer in the JSON of `tokenizers`, parsed, for kind ``bpe``.

    Examples:
        >>> Units.word("english").split("Ada didn't wait.")
        ['Ada', 'did', "n't", 'wait', '.']
        >>> Units.char().join(["t", "o", " ", "b", "e"])
        'to be'
    """

    def __init__(self, kind: str, *, splitter: Splitter | None = None, tokenizer: dict[str, Any] | None = None) -> None:
        self.kind = kind
        self.splitter = splitter
        self._serialised = tokenizer
        self._tokenizer: Tokenizer | None = None

    @classmethod
    def word(cls, splitter: str | Splitter = "spaces") -> Units:
        """Words.

        Args:
            splitter: splits a line into words, or the name of its kind.

        Returns:
            The units.
        """
        return cls("word", splitter=Splitter(splitter) if isinstance(splitter, str) else splitter)

    @classmethod
    def char(cls) -> Units:
        """Characters: code points."""
        return cls("char")

    @classmethod
    def train_bpe(cls, lines: Iterable[str], size: int) -> Units:
        """Learn byte pairs from a text.

        Args:
            lines: the text.
            size: the largest number of different units, with the 256 bytes.

        Returns:
            The units; fewer than `size` if the text is too short for more.

        Raises:
            ValueError: `size` is less than 256.
        """
        if size < _BYTES:
            raise ValueError(f"a byte-pair vocabulary needs at least {_BYTES} units, one per byte, found {size}")
        from tokenizers import Tokenizer, decoders, pre_tokenizers
        from tokenizers.models import BPE
        from tokenizers.trainers import BpeTrainer

        tokenizer = Tokenizer(BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = BpeTrainer(vocab_size=size, initial_alphabet=sorted(alphabet), show_progress=False)
        borders = tokenizer.pre_tokenizer
        parts = (part for line in lines for part in _parts(clean(line), borders))
        interruptible(lambda: tokenizer.train_from_iterator(parts, trainer))
        return cls("bpe", tokenizer=json.loads(tokenizer.to_str()))

    def split(self, text: str) -> list[str]:
        """Split a text.

        Args:
            text: any string.

        Returns:
            Its units, in order.
        """
        if self.kind == "char":
            return list(text)
        if self.kind == "bpe":
            tokenizer = self._load()
            parts = _parts(clean(text), tokenizer.pre_tokenizer)
            return [unit for part in parts for unit in _waited(part, lambda one: tokenizer.encode(one).tokens)]
        assert self.splitter is not None
        return [text[start:end] for start, end in self.splitter.split(text)]

    def pieces(self, text: str, size: int = _PIECE) -> Iterator[str]:
        """Cut a long text into pieces that, split one after the other, have the same units as the whole.

        Args:
            text: any string.
            size: the smallest length of a piece, except the last.

        Yields:
            The pieces: of ``char`` exactly so long, otherwise up to the next space between words, however far it is.
        """
        begin = 0
        while len(text) - begin > size:
            end = begin + size
            if self.kind != "char":
                if not (found := _APART.search(text, end)):
                    break
                end = found.start()
            yield text[begin:end]
            begin = end
        yield text[begin:]

    def join(self, units: Iterable[str]) -> str:
        """Join units.

        Args:
            units: units, in order.

        Returns:
            The text: of ``char`` and ``bpe`` exactly the text that was split (bytes that are not UTF-8, which a model
            may predict, become U+FFFD), of ``word`` the words with single spaces between them.
        """
        if self.kind == "bpe":
            return str(self._load().decoder.decode(list(units)))
        return self.separator.join(units)

    def spelling(self, unit: str) -> str | bytes:
        """What a unit spells.

        Args:
            unit: the unit.

        Returns:
            Of ``bpe`` bytes of UTF-8: a character may be of several units. Otherwise the unit itself.
        """
        return _bytes_of(unit) if self.kind == "bpe" else unit

    def name(self, unit: str) -> str:
        """What a unit is called where it stands by itself.

        Args:
            unit: the unit.

        Returns:
            Its text; of bytes that are no whole characters the bytes, as ``<0xC3>``.
        """
        spelled = self.spelling(unit)
        if isinstance(spelled, str):
            return spelled
        try:
            return spelled.decode()
        except UnicodeDecodeError:
            return "".join(f"<0x{byte:02X}>" for byte in spelled)

    def joiner(self) -> Callable[[str | None], str]:
        """Join units that come one by one.

        Returns:
            A function, the next unit → what it adds to the text; None is the end, after which another text begins.
            What it gives is together what `join` gives.
        """
        if self.kind == "bpe":
            decoder = codecs.getincrementaldecoder("utf-8")("replace")
            return lambda unit: decoder.decode(b"" if unit is None else _bytes_of(unit), unit is None)
        separators = {"next": ""}

        def join(unit: str | None) -> str:
            separator, separators["next"] = separators["next"], "" if unit is None else self.separator
            return "" if unit is None else separator + unit

        return join

    @property
    def separator(self) -> str:
        """The string between two joined units: a space between words, otherwise empty."""
        return " " if self.splitter is not None and self.splitter.kind != "characters" else ""

    def inventory(self) -> Iterator[str]:
        """All units of ``bpe``; none for the other kinds, whose units are not known beforehand."""
        if self.kind == "bpe":
            vocabulary = self._load().get_vocab()
            yield from sorted(vocabulary, key=lambda unit: vocabulary[unit])

    def to_json(self) -> dict[str, Any]:
        """The units as a JSON object; see `from_json`."""
        if self.splitter is not None:
            return {"kind": self.kind, "splitter": self.splitter.to_json()}
        return {"kind": self.kind} if self._serialised is None else {"kind": self.kind, "tokenizer": self._serialised}

    @classmethod
    def from_json(cls, value: object) -> Units:
        """Read what `to_json` gave.

        Args:
            value: a parsed JSON value.

        Returns:
            Units that split every text in the same way.

        Raises:
            ModelError: `value` is something else, or `tokenizers` cannot read the tokenizer.
        """
        tree = value if isinstance(value, dict) else {}
        kind = tree.get("kind")
        needed = {"word": {"kind", "splitter"}, "char": {"kind"}, "bpe": {"kind", "tokenizer"}}
        if not isinstance(kind, str) or kind not in needed or set(tree) != needed[kind]:
            expected = f"expected a JSON object with a kind ({', '.join(UNIT_KINDS)}) and its fields"
            raise ModelError(f"units: {expected}, found {shown(value)}")
        if kind == "word":
            return cls.word(Splitter.from_json(tree["splitter"]))
        units = cls(kind, tokenizer=tree.get("tokenizer"))
        if kind == "bpe":
            units._load()
        return units

    def _load(self) -> Tokenizer:
        if self._tokenizer is None:
            from tokenizers import Tokenizer

            _check_plain(self._serialised)
            try:
                self._tokenizer = Tokenizer.from_str(json.dumps(self._serialised))
            except Exception as error:  # the library raises no narrower class
                raise ModelError(f"units: the tokenizer cannot be read: {shown(error)}") from None
            self._tokenizer.no_truncation()  # nothing is cut off or added, also if the file asks for it
            self._tokenizer.no_padding()
        return self._tokenizer

    def __eq__(self, other: object) -> bool:
        """Whether both split every text in the same way."""
        return self.to_json() == other.to_json() if isinstance(other, Units) else NotImplemented

    def __hash__(self) -> int:
        """A hash that agrees with equality."""
        return hash(json.dumps(self.to_json(), sort_keys=True))

    def __repr__(self) -> str:
        """The kind, for debugging."""
        return f"Units({self.kind!r})"


@cache
def _byte_pair_alphabet() -> dict[str, int]:
    """Character → the byte that stands for it in byte pairs: printable ones for themselves, the others from 256 on."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(_BYTES) if byte not in set(printable)]
    return {chr(byte): byte for byte in printable} | {chr(_BYTES + n): byte for n, byte in enumerate(others)}


def _bytes_of(unit: str) -> bytes:
    """The bytes of a unit of ``bpe``; one with other characters stands for itself."""
    found = [_byte_pair_alphabet().get(char, -1) for char in unit]
    return clean(unit).encode() if -1 in found else bytes(found)


def _parts(text: str, borders: Any) -> Iterator[str]:
    """Cut a text so that no part has more than `LONGEST_PIECE` characters without a border between words.

    Args:
        text: the text; it is one part if no run of its is longer.
        borders: the library's `pre_tokenizer`, which finds the borders.

    Yields:
        The parts, in order.
    """
    begin = 0
    for run in _RUN.finditer(text) if len(text) > LONGEST_PIECE else ():
        place = run.start() if run.end() - run.start() > LONGEST_PIECE else run.end()
        place -= (
            text.startswith(" ", place - 1) if run.start() and place < run.end() else 0
        )  # it may change the borders
        while place < run.end():
            window = text[place : min(place + _PIECE, run.end())]  # of which the library lets no signal act
            start = place
            for _, (first, last) in borders.pre_tokenize_str(window):
                after_space = window.startswith(" ", first) and not window[first:last].isspace()
                place = start + first + after_space  # the last piece goes on in the next window
                while start + last - place > LONGEST_PIECE:
                    place += LONGEST_PIECE
                    yield text[begin:place]
                    begin = place
            if start + len(window) == run.end():
                break
    yield text[begin:]


def _waited(text: str, call: Callable[[str], _Result]) -> _Result:
    """What a call of the library gives; of a long text in a thread, as no signal acts in the midst of it."""
    return call(text) if len(text) < _PIECE else interruptible(lambda: call(text))


_PARTS: dict[str, object] = {
    "added_tokens": [],
    "normalizer": None,
    "pre_tokenizer": "ByteLevel",
    "post_processor": None,
    "decoder": "ByteLevel",
    "model": "BPE",
}
"""part of a byte-pair tokenizer → its value, or its type"""


def _check_plain(tree: object) -> None:
    """Check that a tokenizer has only the parts that `Units.train_bpe` gives it, and no others of the library."""
    # Others can lose text, draw at random, run for hours or end the process, depending on the text.
    for name, expected in _PARTS.items():
        part = tree.get(name) if isinstance(tree, dict) else tree
        found = part.get("type") if isinstance(part, dict) else part
        if found != expected or isinstance(part, str):
            raise ModelError(f"units: expected a tokenizer with {name} {expected}, found {shown(found)}")
    assert isinstance(tree, dict)
    for name, value in tree["model"].items():
        if value and name not in ("type", "vocab", "merges"):
            raise ModelError(f"units: expected a tokenizer without {name}, found {shown(value)}")
