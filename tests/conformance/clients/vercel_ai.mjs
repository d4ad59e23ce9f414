// Runs where the Vercel AI SDK is installed: carries out the call that standard input describes, prints what came.
import { readFileSync } from "node:fs";
import { createOpenAI } from "@ai-sdk/openai";
import { experimental_transcribe as transcribe } from "ai";

const call = JSON.parse(readFileSync(0, "utf8"));
const openai = createOpenAI({ baseURL: call.baseURL, apiKey: call.apiKey });
const result = await transcribe({
  model: openai.transcription(call.model),
  audio: readFileSync(call.path),
  maxRetries: 0,
});
const { text, language, segments, durationInSeconds } = result;
console.log(JSON.stringify({ text, language, segments, durationInSeconds }));
