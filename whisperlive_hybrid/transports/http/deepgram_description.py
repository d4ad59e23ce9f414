"""Deepgram's API for files as the API's description has it."""

from __future__ import annotations

from whisperlive_hybrid.transports.http.describing import (
    ANY,
    FAULTS,
    NUMBER,
    SECONDS,
    TEXT,
    WHOLE,
    Json,
    described,
    faults,
    list_of,
    object_of,
    ok,
    ref,
    schema_of,
)
from whisperlive_hybrid.transports.http.option import Option

LISTEN_OPTIONS: tuple[Option, ...] = (
    Option("model", "text", "A model of /v1/models. Deepgram's own names mean the default model."),
    Option("language", "text", "Language code; multi detects. Absent is as DEFAULT_LANGUAGE says."),
    Option("detect_language", "text", "true detects; languages, repeated, are those to choose among."),
    Option("punctuate", "flag", "Words as they are written; otherwise lower case without marks."),
    Option("smart_format", "flag", "The same, and paragraphs."),
    Option("paragraphs", "flag", "Sentences and paragraphs."),
    Option("utterances", "flag", "Utterances: words with no long pause between them."),
    Option("utt_split", "number", "Seconds of silence that end an utterance; 0.8 if absent.", 0, 3600),
    Option("diarize", "flag", "A speaker's number for each word."),
    Option("keyterm", "list", "Words to expect."),
    Option("keywords", "list", "Words to expect; what follows a colon is passed over."),
    Option("encoding", "text", "linear16, linear32, mulaw or alaw: the body is samples alone."),
    Option("sample_rate", "integer", "Hz, of samples alone.", 4000, 192_000),
    Option("channels", "integer", "Of samples alone; they are mixed.", 1, 8),
    Option("tag", "list", "Told again in metadata."),
    Option("extra", "list", "name:value, told again in metadata."),
)


def deepgram_paths() -> Json:
    audio: Json = {"schema": {"type": "string", "format": "binary"}}
    address: Json = {"schema": object_of("url", url=TEXT)}
    live: Json = {
        "tags": ["Deepgram"],
        "operationId": "listenLive",
        "summary": "Live audio over a WebSocket, as Deepgram's clients speak it",
        "responses": {"101": {"description": "A WebSocket."}, **faults("DeepgramError", "400", "401", "403", "426")},
    }
    return {
        "/v1/listen": {
            "get": live,
            "post": {
                "tags": ["Deepgram"],
                "operationId": "listen",
                "summary": "Transcribe a file",
                "parameters": [{"name": o.name, "in": "query", "schema": schema_of(o)} for o in LISTEN_OPTIONS],
                "requestBody": {"required": True, "content": {"audio/*": audio, "application/json": address}},
                "responses": {
                    **ok("The transcript.", ref("DeepgramResult")),
                    **faults("DeepgramError", *(s for s in FAULTS if s != "404"), "504"),
                },
            },
        }
    }


def deepgram_schemas() -> Json:
    speaker: Json = {"speaker": described(WHOLE, "With diarize, from 0.")}
    word = object_of(
        "word start end confidence",
        word=TEXT,
        start=SECONDS,
        end=SECONDS,
        confidence=NUMBER,
        optional={"punctuated_word": described(TEXT, "With punctuate."), **speaker},
    )
    sentence = object_of("text start end", text=TEXT, start=SECONDS, end=SECONDS)
    paragraph = object_of(
        "sentences start end num_words",
        sentences=list_of(sentence),
        start=SECONDS,
        end=SECONDS,
        num_words=WHOLE,
        optional=speaker,
    )
    alternative = object_of(
        "transcript confidence words",
        transcript=TEXT,
        confidence=NUMBER,
        words=list_of(ref("DeepgramWord")),
        optional={
            "paragraphs": object_of("transcript paragraphs", transcript=TEXT, paragraphs=list_of(paragraph)),
            "languages": described(list_of(TEXT), "With language=multi."),
        },
    )
    channel = object_of(
        "alternatives",
        alternatives=list_of(alternative),
        optional={"detected_language": TEXT, "language_confidence": NUMBER},
    )
    utterance = object_of(
        "start end confidence channel transcript words id",
        start=SECONDS,
        end=SECONDS,
        confidence=NUMBER,
        channel=WHOLE,
        transcript=TEXT,
        words=list_of(ref("DeepgramWord")),
        id=TEXT,
        optional=speaker,
    )
    warning = object_of("parameter type message", parameter=TEXT, type=TEXT, message=TEXT)
    metadata = object_of(
        "transaction_key request_id sha256 created duration channels models model_info",
        transaction_key=TEXT,
        request_id=TEXT,
        sha256=TEXT,
        created=TEXT,
        duration=SECONDS,
        channels=WHOLE,
        models=list_of(TEXT),
        model_info=ANY,
        optional={"warnings": list_of(warning), "tags": list_of(TEXT), "extra": ANY},
    )
    return {
        "DeepgramResult": object_of(
            "metadata results",
            metadata=metadata,
            results=object_of(
                "channels", channels=list_of(channel), optional={"utterances": described(list_of(utterance), "")}
            ),
        ),
        "DeepgramWord": word,
        "DeepgramError": object_of("err_code err_msg request_id", err_code=TEXT, err_msg=TEXT, request_id=TEXT),
    }
