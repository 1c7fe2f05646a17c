"""A line of text ↔ the units that a language model predicts: words, characters or byte pairs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from seqkit.errors import ModelError, shown
from seqkit.formats.splitting import Splitter

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["UNIT_KINDS", "Units"]

UNIT_KINDS = ("word", "char", "bpe")
_BYTES = 256
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_PIECE = 1 << 16
_APART = re.compile(r"(?<=[^\W_]) (?=\S)")
"""where what stands before and after is cut alike with and without the other: a full stop may mean something else"""


class Units:
    """Cuts text into the units of a language model, and puts units together again.

    - ``word``: what a `Splitter` finds; put together with a space between two words, so that white space is not kept.
    - ``char``: every code point, a line break among them.
    - ``bpe``: byte pairs (Sennrich, Haddow & Birch 2016, on bytes as in Radford et al. 2019), learned from a text by
      the library `tokenizers`. Every text can be written in them and read back unchanged.

    Make one with `Units.word`, `Units.char`, `Units.train_bpe` or `Units.from_json`.

    Args:
        kind: one of `UNIT_KINDS`.
        splitter: what cuts a line into words, of kind ``word``.
        tokenizer: what `tokenizers` wrote of a tokenizer, parsed, of kind ``bpe``.

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
            splitter: what cuts a line into words, or the name of its kind.

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
            size: how many different units there may be, the 256 bytes among them.

        Returns:
            The units; fewer than `size` where the text is too short for more.

        Raises:
            ValueError: `size` has no room for the bytes.
        """
        if size < _BYTES:
            raise ValueError(f"expected at least {_BYTES} byte-pair units, one a byte, found {size}")
        from tokenizers import Tokenizer, decoders, pre_tokenizers
        from tokenizers.models import BPE
        from tokenizers.trainers import BpeTrainer

        tokenizer = Tokenizer(BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = BpeTrainer(vocab_size=size, initial_alphabet=sorted(alphabet), show_progress=False)
        tokenizer.train_from_iterator(map(_encodable, lines), trainer)
        return cls("bpe", tokenizer=json.loads(tokenizer.to_str()))

    def split(self, text: str) -> list[str]:
        """Cut a text.

        Args:
            text: any string.

        Returns:
            Its units, in order.
        """
        if self.kind == "char":
            return list(text)
        if self.kind == "bpe":
            units: list[str] = self._load().encode(_encodable(text)).tokens
            return units
        assert self.splitter is not None
        return [text[start:end] for start, end in self.splitter.split(text)]

    def pieces(self, text: str, size: int = _PIECE) -> Iterator[str]:
        """Part a long text so that its pieces, cut one after the other, have the units of the whole.

        Args:
            text: any string.
            size: how many characters a piece has at least, all but the last.

        Yields:
            The pieces: of ``char`` as long as that, otherwise up to the next space between words, however far it is.
        """
        begin = 0
        while len(text) - begin > size:
            end = begin + size
            if self.kind != "char":
                found = _APART.search(text, end)
                if found is None:
                    break
                end = found.start()
            yield text[begin:end]
            begin = end
        yield text[begin:]

    def join(self, units: Iterable[str]) -> str:
        """Put units together.

        Args:
            units: units, in order.

        Returns:
            The text: of ``char`` and ``bpe`` exactly what was cut (bytes that are no UTF-8, which a model may well
            predict, become U+FFFD), of ``word`` the words with single spaces between them.
        """
        if self.kind == "bpe":
            text: str = self._load().decoder.decode(list(units))
            return text
        return self.separator.join(units)

    @property
    def separator(self) -> str:
        """What stands between two units that were put together: a space between words, otherwise nothing."""
        return " " if self.splitter is not None and self.splitter.kind != "characters" else ""

    def inventory(self) -> Iterator[str]:
        """All units that a text can be cut into: of ``bpe`` those that were learned; none are known of the others."""
        if self.kind == "bpe":
            vocabulary = self._load().get_vocab()
            yield from sorted(vocabulary, key=lambda unit: vocabulary[unit])

    def to_json(self) -> dict[str, Any]:
        """The units as a JSON object; see `from_json`."""
        if self.kind == "bpe":
            return {"kind": self.kind, "tokenizer": self._serialised}
        return (
            {"kind": self.kind} if self.splitter is None else {"kind": self.kind, "splitter": self.splitter.to_json()}
        )

    @classmethod
    def from_json(cls, value: object) -> Units:
        """Read what `to_json` gave.

        Args:
            value: a parsed JSON value.

        Returns:
            The units, which cut every text as those that were written.

        Raises:
            ModelError: `value` is something else, or a tokenizer that `tokenizers` does not know.
        """
        tree = value if isinstance(value, dict) else {}
        kind = tree.get("kind")
        needed = {"word": {"kind", "splitter"}, "char": {"kind"}, "bpe": {"kind", "tokenizer"}}
        if not isinstance(kind, str) or kind not in needed or set(tree) != needed[kind]:
            found = ", ".join(map(shown, list(tree)[:8])) if isinstance(value, dict) else type(value).__name__
            kinds = ", ".join(UNIT_KINDS)
            raise ModelError(f"units: expected a JSON object of the kind {kinds} with what it needs, found {found}")
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
                raise ModelError(f"units: expected a tokenizer that tokenizers reads, found {shown(error)}") from None
            self._tokenizer.no_truncation()  # nothing is lost or made up, whatever the file says
            self._tokenizer.no_padding()
        return self._tokenizer

    def __eq__(self, other: object) -> bool:
        """Whether both cut every text alike."""
        return self.to_json() == other.to_json() if isinstance(other, Units) else NotImplemented

    def __hash__(self) -> int:
        """A hash that agrees with equality."""
        return hash(json.dumps(self.to_json(), sort_keys=True))

    def __repr__(self) -> str:
        """The kind, for debugging."""
        return f"Units({self.kind!r})"


_PARTS: dict[str, tuple[object, ...]] = {
    "added_tokens": ([],),
    "normalizer": (None,),
    "pre_tokenizer": ("ByteLevel",),
    "post_processor": (None,),
    "decoder": ("ByteLevel",),
    "model": ("BPE",),
}
"""part of a tokenizer of byte pairs → what it is, or what its type is"""

_OPTIONS = (
    *("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", "byte_fallback"),
    "ignore_merges",
)
"""what a model of byte pairs may have and ours has not: some lose text, others end the process"""


def _check_plain(tree: object) -> None:
    """See that a tokenizer has the parts that `Units.train_bpe` gives it, and none of the library's many others."""
    # Some of those lose text, draw at random, or can be made to go on for hours, or to end the process, by a text.
    for name, allowed in _PARTS.items():
        part = tree.get(name) if isinstance(tree, dict) else tree
        found = part.get("type") if isinstance(part, dict) else part
        if found not in allowed:
            raise ModelError(f"units: expected a tokenizer with {name} {allowed[0]}, found {shown(found)}")
    assert isinstance(tree, dict)
    for name in _OPTIONS:
        if tree["model"].get(name):
            raise ModelError(f"units: expected a tokenizer without {name}, found {shown(tree['model'][name])}")


def _encodable(text: str) -> str:
    """The library takes UTF-8, which has no surrogates; one character stands for one."""
    return _LONE_SURROGATE.sub("\ufffd", text)
