"""Training and decoding the reference tagger beside the same network in plain torch, turn by turn in one process.

    SEQKIT_DATA=../shared/data python benchmarks/plain_tagging.py --threads 2

Word vectors 100, character CNN 50, BiLSTM 2 × 100, CRF; ``conll2000``; fp32. The plain network is what one writes with
torch alone: words are replaced by ids once, a batch is padded and packed, the characters of every token go through a
convolution, and the CRF is a loop over time, batched over sentences. Both train on the same batches, of sentences of
near-equal length, with Adam and the same dropout rate; each initialises its own weights, so the losses are similar but
not equal. A round of training is some batches through seqkit's own training loop, then the same batches through the
plain one. Decoding is from tokenised sentences in memory to labels, the plain one at batches of 32 sorted by length.

Prints tables and writes ``benchmarks/results/plain_tagging.json``.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from common import Machine, alternate, make_learner, parser, ratios, shown, summary, table, train_in_turns, write
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

from seqkit.bench.flops import TRAINED, forward_flops
from seqkit.config import override
from seqkit.corpora.resolve import resolve
from seqkit.heads.tagging.settings import TagSettings
from seqkit.records import Sentence

TARGET = "chunk"
DROPOUT, RATE, CLIP = 0.33, 2e-3, 5.0
NETWORK = {"embedding": {"dropout": DROPOUT, "word_dropout": 0.0}, "encoder": {"hidden": 100, "dropout": DROPOUT}}


class PlainTagger(nn.Module):
    """The network written with torch alone; id 0 is padding and 1 an unknown word."""

    def __init__(self, words: int, characters: int, tags: int) -> None:
        super().__init__()
        self.words = nn.Embedding(words, 100, padding_idx=0)
        self.characters = nn.Embedding(characters, 30, padding_idx=0)
        self.convolution = nn.Conv1d(30, 50, 3, padding=2)
        self.dropout = nn.Dropout(DROPOUT)
        self.lstm = nn.LSTM(150, 100, batch_first=True, bidirectional=True)
        self.emission = nn.Linear(200, tags)
        self.transition = nn.Parameter(torch.zeros(tags, tags))
        self.start, self.end = nn.Parameter(torch.zeros(tags)), nn.Parameter(torch.zeros(tags))

    def forward(self, words: Tensor, characters: Tensor, lengths: Tensor) -> Tensor:
        """Words [B, T] and characters [B, T, L] → scores of tags [B, T, K]."""
        letters = self.characters(characters.flatten(0, 1)).transpose(1, 2)  # [B·T, 30, L]
        features = self.convolution(letters).amax(2).view(*words.shape, -1)  # [B, T, 50]
        x = self.dropout(torch.cat([self.words(words), features], 2))  # [B, T, 150]
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        outputs, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True)  # [B, T, 200]
        scores: Tensor = self.emission(self.dropout(outputs))  # [B, T, K]
        return scores

    def loss(self, scores: Tensor, tags: Tensor, mask: Tensor) -> Tensor:
        """The negative log-likelihood of the tags, averaged over sentences."""
        gold = self.start[tags[:, 0]] + scores[:, 0].gather(1, tags[:, :1]).squeeze(1)  # [B]
        total = self.start + scores[:, 0]  # [B, K]
        for step in range(1, scores.shape[1]):
            inside = mask[:, step]  # [B]
            moved = self.transition[tags[:, step - 1], tags[:, step]]  # [B]
            gold = gold + (moved + scores[:, step].gather(1, tags[:, step, None]).squeeze(1)) * inside
            following = torch.logsumexp(total.unsqueeze(2) + self.transition, 1) + scores[:, step]  # [B, K]
            total = torch.where(inside.unsqueeze(1), following, total)  # [B, K]
        last = tags.gather(1, mask.sum(1, keepdim=True) - 1).squeeze(1)  # [B]
        return (torch.logsumexp(total + self.end, 1) - gold - self.end[last]).mean()

    def viterbi(self, scores: Tensor, mask: Tensor) -> list[list[int]]:
        """The best tags of each sentence."""
        total = self.start + scores[:, 0]  # [B, K]
        identity = torch.arange(total.shape[1]).expand_as(total)  # [B, K]
        pointers = []
        for step in range(1, scores.shape[1]):
            inside = mask[:, step, None]  # [B, 1]
            best, before = (total.unsqueeze(2) + self.transition).max(1)  # [B, K] each
            total = torch.where(inside, best + scores[:, step], total)  # [B, K]
            pointers.append(torch.where(inside, before, identity))  # [B, K]
        tags = [(total + self.end).argmax(1)]  # [B] each
        for before in reversed(pointers):
            tags.append(before.gather(1, tags[-1].unsqueeze(1)).squeeze(1))
        paths: list[list[int]] = torch.stack(tags[::-1], 1).tolist()
        return [path[:length] for path, length in zip(paths, mask.sum(1).tolist(), strict=True)]


class PlainLoop:
    """Vocabularies, batches and the loop over them.

    Args:
        sentences: the training sentences, from which the vocabularies are built.
    """

    def __init__(self, sentences: Sequence[Sentence]) -> None:
        tokens = sorted({token for one in sentences for token in one.tokens})
        self.words = {word: number for number, word in enumerate(sorted({token.lower() for token in tokens}), 2)}
        self.characters = {letter: number for number, letter in enumerate(sorted(set("".join(tokens))), 2)}
        self.tags = sorted({tag for one in sentences for tag in one.column(TARGET)})
        self.numbered = [self.number(one.tokens) for one in sentences]
        index = {tag: number for number, tag in enumerate(self.tags)}
        self.gold = [torch.tensor([index[tag] for tag in one.column(TARGET)]) for one in sentences]  # [T] each
        self.model = PlainTagger(len(self.words) + 2, len(self.characters) + 2, len(self.tags))
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=RATE)
        self.speeds: list[float] = []
        self.losses: list[float] = []

    def number(self, tokens: Sequence[str]) -> tuple[Tensor, list[Tensor]]:
        """Word ids [T], and the character ids of each word."""
        words = torch.tensor([self.words.get(token.lower(), 1) for token in tokens])  # [T]
        return words, [torch.tensor([self.characters.get(letter, 1) for letter in token]) for token in tokens]

    def batch(self, numbered: Sequence[tuple[Tensor, list[Tensor]]]) -> tuple[Tensor, Tensor, Tensor]:
        """Pad sentences: words [B, T], characters [B, T, L], lengths [B]."""
        words = pad_sequence([one[0] for one in numbered], batch_first=True)  # [B, T]
        letters = pad_sequence([letter for one in numbered for letter in one[1]], batch_first=True)  # [N, L]
        characters = letters.new_zeros(*words.shape, letters.shape[1])  # [B, T, L]
        lengths = torch.tensor([len(one[0]) for one in numbered])  # [B]
        characters[_inside(lengths, words)] = letters
        return words, characters, lengths

    def turn(self, batches: Sequence[Any]) -> None:
        """Train on batches, each the indices of its sentences."""
        self.model.train()
        total, sentences = 0.0, 0
        began = time.perf_counter()
        for rows in batches:
            words, characters, lengths = self.batch([self.numbered[row] for row in rows])
            tags = pad_sequence([self.gold[row] for row in rows], batch_first=True)  # [B, T]
            loss = self.model.loss(self.model(words, characters, lengths), tags, _inside(lengths, tags))
            self.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
            self.optimizer.step()
            total += loss.item() * len(rows)
            sentences += len(rows)
        self.speeds.append(sentences / (time.perf_counter() - began))
        self.losses.append(total / sentences)

    @torch.inference_mode()
    def decode(self, sentences: Sequence[Sentence], size: int = 32) -> list[list[str]]:
        """Labels of sentences, in their order."""
        self.model.eval()
        order = sorted(range(len(sentences)), key=lambda row: len(sentences[row]))
        found: list[list[str]] = [[]] * len(sentences)
        for begin in range(0, len(order), size):
            rows = order[begin : begin + size]
            words, characters, lengths = self.batch([self.number(sentences[row].tokens) for row in rows])
            paths = self.model.viterbi(self.model(words, characters, lengths), _inside(lengths, words))
            for row, path in zip(rows, paths, strict=True):
                found[row] = [self.tags[tag] for tag in path]
        return found


def _inside(lengths: Tensor, like: Tensor) -> Tensor:
    """Whether a position is inside its sentence, bool [B, T]."""
    return torch.arange(like.shape[1]) < lengths.unsqueeze(1)


def main() -> None:
    """Measure and report."""
    arguments = parser(__doc__, rounds=5)
    arguments.add_argument("--batch-size", type=int, nargs="+", default=[10, 32])
    arguments.add_argument("--sentences", type=int, default=960, help="sentences per round of training")
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(1)
    machine = Machine()
    data = resolve("conll2000")
    test = [Sentence.from_tokens(one.tokens) for one in data.sentences("test")]
    tokens = sum(map(len, test))
    letters = sum(len(token) for one in test for token in one.tokens) / tokens
    rows, training = [], {}
    for size in options.batch_size:
        changes = {"epochs": options.rounds, "batch_size": size, "lr": RATE, "clip": CLIP, "precision": "fp32"}
        learner = make_learner(override(TagSettings(), {**NETWORK, "training": changes}), data)
        plain = PlainLoop(data.sentences("train"))

        def turn(batches: Sequence[Any], plain: PlainLoop = plain) -> None:
            plain.turn(batches)
            machine.measure()

        lines = train_in_turns(learner, options.rounds, turn, options.sentences // size)
        own = [sum(map(len, line["batches"])) / line["seconds"] for line in lines]
        flops = forward_flops(learner.network, letters)
        per_second = {"seqkit": [line["tokens_per_second"] for line in lines]}
        per_second["plain torch"] = [a * b / c for a, b, c in zip(per_second["seqkit"], plain.speeds, own, strict=True)]
        entry: dict[str, Any] = {"flops_per_token": flops}
        both = {"seqkit": (own, lines[-1]["loss"]), "plain torch": (plain.speeds, plain.losses[-1])}
        for name, (found, loss) in both.items():
            share = TRAINED * flops * summary(per_second[name])["median"] / machine.rate()
            ratio = ratios(found, plain.speeds)
            entry[name] = {"speed": summary(found), "ratio": summary(ratio), "share": share, "loss": loss}
            rows.append([f"{size}", name, shown(found), shown(ratio, ".1f"), f"{share:.0%}", f"{loss:.2f}"])
        training[str(size)] = entry

    def own_decoding() -> float:
        began = time.perf_counter()
        assert len(learner.model.predicted(test)) == len(test)
        return len(test) / (time.perf_counter() - began)

    def plain_decoding() -> float:
        began = time.perf_counter()
        assert len(plain.decode(test)) == len(test)
        return len(test) / (time.perf_counter() - began)

    speeds = alternate({"seqkit": own_decoding, "plain torch": plain_decoding}, options.rounds, machine)
    decoding = {}
    decoded = []
    for name, each in speeds.items():
        ratio = ratios(each, speeds["plain torch"])
        share = flops * summary(each)["median"] * tokens / len(test) / machine.rate()
        decoding[name] = {"speed": summary(each), "ratio": summary(ratio), "share": share}
        decoded.append([name, shown(each), shown(ratio, ".1f"), f"{share:.0%}"])
    print(machine)
    print(table(["training, batch", "", "sentences/s", "ratio", "roofline", "loss of the last round"], rows))
    print(table(["decoding", "sentences/s", "ratio", "roofline"], decoded))
    tree = {"rounds": options.rounds, "training": training, "decoding": decoding}
    write("plain_tagging", {"machine": machine.to_json(), **tree})


if __name__ == "__main__":
    main()
