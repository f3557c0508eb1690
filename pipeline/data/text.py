"""Texts as token ids, by a vocabulary of the library tokenizers that is learnt from train."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.data.fitted import Text

PAD, UNKNOWN = "[PAD]", "[UNK]"  # ids 0 and 1
MOST_TEXTS = 200_000  # train texts that a vocabulary is learnt from: more change hardly a token
MOST_CHARACTERS = 50_000_000  # of all those texts together
MOST_TOKENS = 512  # of a text, where normalize.text.length does not say
CHARACTERS = 20_000  # of a text that are read


def fit(column: str, texts: Sequence[str | None], *, vocabulary: int, length: int | None) -> Text:
    """Learn byte-pair tokens (Sennrich et al. 2016) from lower-case NFC text, and a length: the 95th percentile, at most MOST_TOKENS.

    The same texts in the same order give the same tokens.  At most half of the vocabulary are single characters, the
    most frequent ones; the rest reads as unknown.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    learnt = [text[:CHARACTERS] for text in texts[:MOST_TEXTS] if text]
    made = Tokenizer(models.BPE(unk_token=UNKNOWN, fuse_unk=True))
    made.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    # a token knows whether it starts a word (by the mark of Metaspace), and none reaches over punctuation
    made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation()])
    counts: Counter[str] = Counter()
    for text in learnt:
        counts.update(made.normalizer.normalize_str(text))
    del counts[" "]
    frequent = sorted(counts, key=lambda character: (-counts[character], character))[: vocabulary // 2 - 3]
    letters = ["▁", *frequent]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        show_progress=False,
        special_tokens=[PAD, UNKNOWN],
        initial_alphabet=letters,  # chosen here: the trainer's own choice among equally rare letters changes from run to run
        limit_alphabet=len(letters),
    )
    made.train_from_iterator(learnt, trainer)
    if length is None:
        counted = [len(found.ids) for found in made.encode_batch_fast(learnt)]
        length = int(np.clip(np.ceil(np.quantile(counted, 0.95)) if counted else 1, 1, MOST_TOKENS))
    return Text(column, length, json.loads(made.to_str()))


def load(text: Text) -> Any:
    """The tokenizer of a state, set to give ids of its length."""
    from tokenizers import Tokenizer

    made = Tokenizer.from_str(json.dumps(text.tokenizer))
    made.enable_truncation(text.length)
    made.enable_padding(length=text.length, pad_id=0, pad_token=PAD)
    return made


def encode(tokenizer: Any, texts: Sequence[str | None]) -> np.ndarray:
    """Token ids (rows, length) int32, padded with 0 at the end; a missing text is all padding."""
    found = tokenizer.encode_batch_fast([(text or "")[:CHARACTERS] for text in texts])
    return np.array([row.ids for row in found], dtype=np.int32).reshape(len(texts), tokenizer.truncation["max_length"])
