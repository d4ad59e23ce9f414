"""Write trained weights as a CTranslate2 model folder that faster-whisper loads like any other.

The compact training vocabulary is spread over the 51,865 ids of the multilingual Whisper layout; ids this model never
writes share one embedding. `--tokenizer` keeps the tokenizer of an earlier export, so that token ids stay the same.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from ctranslate2.converters.transformers import WhisperLoader
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import WhisperForConditionalGeneration

from tools.digits_model.network import ALIGNMENT_HEADS, read_weights, whisper_config
from tools.digits_model.words import (
    FIRST_TIMESTAMP,
    FULL_STOP,
    OTHER,
    TEXT_TOKENS,
    TIMESTAMP_COUNT,
    TOKEN_ID,
    WHISPER_NAMES,
    WHISPER_VOCABULARY_SIZE,
)

_LANGUAGE_LINES = (
    "en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th ur hr bg lt la mi",
    "ml cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km sn yo so af oc ka be tg sd",
    "gu am yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jw su",
)
WHISPER_LANGUAGES = [language for line in _LANGUAGE_LINES for language in line.split()]
END_OF_TEXT = 50_257
FIRST_LANGUAGE = 50_259
WHISPER_FIRST_TIMESTAMP = 50_364

PREPROCESSOR = {
    "chunk_length": 30,
    "feature_extractor_type": "WhisperFeatureExtractor",
    "feature_size": 80,
    "hop_length": 160,
    "n_fft": 400,
    "n_samples": 480000,
    "nb_max_frames": 3000,
    "padding_side": "right",
    "padding_value": 0.0,
    "processor_class": "WhisperProcessor",
    "return_attention_mask": False,
    "sampling_rate": 16000,
}


def new_tokenizer() -> Tokenizer:
    """A byte-level tokenizer in the multilingual layout in which every word of the model is one token."""
    words = [token for token in TEXT_TOKENS if token != FULL_STOP]
    bytes_first = pre_tokenizers.ByteLevel(add_prefix_space=False)
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = bytes_first
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=1000, initial_alphabet=alphabet, show_progress=False, min_frequency=2)
    learner.train_from_iterator([*words, FULL_STOP] * 50, trainer)
    learned = json.loads(learner.to_str())["model"]
    vocabulary: dict[str, int] = learned["vocab"]
    for index in range(len(vocabulary), END_OF_TEXT):
        vocabulary[f"<unused{index}>"] = index
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[tuple(merge) for merge in learned["merges"]]))
    tokenizer.pre_tokenizer = bytes_first
    tokenizer.decoder = decoders.ByteLevel()
    control = ["<|endoftext|>", "<|startoftranscript|>", *(f"<|{language}|>" for language in WHISPER_LANGUAGES)]
    control += ["<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>"]
    control += ["<|notimestamps|>"]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control])
    stamps = [f"<|{index * 0.02:.2f}|>" for index in range(TIMESTAMP_COUNT)]
    tokenizer.add_tokens([AddedToken(stamp, special=False, normalized=False) for stamp in stamps])
    return tokenizer


def checked(tokenizer: Tokenizer) -> Tokenizer:
    """The tokenizer, if it has the multilingual layout and one token for each word; ValueError if not."""
    layout = (tokenizer.token_to_id("<|endoftext|>"), tokenizer.token_to_id("<|0.00|>"), tokenizer.get_vocab_size())
    if layout != (END_OF_TEXT, WHISPER_FIRST_TIMESTAMP, WHISPER_VOCABULARY_SIZE):
        raise ValueError(f"not the multilingual layout: {layout}")
    split = [token for token in TEXT_TOKENS if len(tokenizer.encode(token).ids) != 1]
    if split:
        raise ValueError(f"not one token each: {split}")
    return tokenizer


def spread(weights: dict[str, torch.Tensor], tokenizer: Tokenizer) -> Any:
    """Weights on the compact vocabulary -> a Whisper model on the multilingual vocabulary."""
    compact = weights["model.decoder.embed_tokens.weight"]
    table = compact[OTHER].repeat(WHISPER_VOCABULARY_SIZE, 1)
    for token, index in TOKEN_ID.items():
        name = WHISPER_NAMES.get(token)
        table[tokenizer.token_to_id(name) if name else tokenizer.encode(token).ids[0]] = compact[index]
    table[WHISPER_FIRST_TIMESTAMP:] = compact[FIRST_TIMESTAMP : FIRST_TIMESTAMP + TIMESTAMP_COUNT]
    kept = {name: value for name, value in weights.items() if not name.startswith(("ctc.", "table."))}
    kept.update({"model.decoder.embed_tokens.weight": table, "proj_out.weight": table})
    model: Any = WhisperForConditionalGeneration(whisper_config(WHISPER_VOCABULARY_SIZE))
    model.load_state_dict(kept)
    return model.eval()


def export(weights: Path, out: Path, quantization: str | None, tokenizer: Tokenizer) -> None:
    """Write the model folder."""
    spec = WhisperLoader().get_model_spec(spread(read_weights(weights), tokenizer))
    vocabulary = [tokenizer.id_to_token(index) for index in range(WHISPER_VOCABULARY_SIZE)]
    # CTranslate2 4.7 and later take a model for multilingual if it has this empty token, as Whisper's own have
    vocabulary[END_OF_TEXT - 1] = ""
    spec.register_vocabulary(vocabulary)
    spec.config.suppress_ids = []
    spec.config.suppress_ids_begin = [END_OF_TEXT]
    spec.config.alignment_heads = ALIGNMENT_HEADS
    spec.config.lang_ids = list(range(FIRST_LANGUAGE, FIRST_LANGUAGE + len(WHISPER_LANGUAGES)))
    spec.validate()
    spec.optimize(quantization=quantization)
    out.mkdir(parents=True, exist_ok=True)
    spec.save(str(out))
    tokenizer.save(str(out / "tokenizer.json"))
    (out / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR, indent=1), encoding="utf-8")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, help="checkpoint from tools.digits_model.train")
    parser.add_argument("out", type=Path, help="model folder to write")
    parser.add_argument("--quantization", choices=["int8", "float32"], default="int8", help="(default: %(default)s)")
    parser.add_argument("--tokenizer", type=Path, help="tokenizer.json to keep (default: make one)")
    options = parser.parse_args()
    tokenizer = Tokenizer.from_file(str(options.tokenizer)) if options.tokenizer else new_tokenizer()
    quantization = None if options.quantization == "float32" else options.quantization
    export(options.weights, options.out, quantization, checked(tokenizer))
    for path in sorted(options.out.iterdir()):
        print(f"{path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
