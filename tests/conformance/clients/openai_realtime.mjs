// OpenAI's own Node client on a Realtime server: node openai_realtime.mjs BASE_URL KEY PCM_FILE. Tells what it heard as JSON.
import { readFileSync } from "node:fs";
import OpenAI from "openai";
import { OpenAIRealtimeWebSocket } from "openai/realtime/websocket";
import WebSocket from "ws";

globalThis.WebSocket = WebSocket; // Node 20 has none of its own
const [baseURL, apiKey, file] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, dangerouslyAllowBrowser: true });
const realtime = new OpenAIRealtimeWebSocket(
  {
    model: "gpt-realtime",
    dangerouslyAllowBrowser: true,
    onURL(url) {
      url.protocol = "ws:"; // the client speaks wss only, which loopback does not
      url.searchParams.set("intent", "transcription");
    },
  },
  client,
);
const told = { events: [], deltas: "", errors: [] };

realtime.on("error", (error) => told.errors.push(error.error?.event_id ?? String(error)));
realtime.on("event", (event) => told.events.push(event.type));
realtime.on("session.created", () => {
  told.protocol = realtime.socket.protocol;
  realtime.send({
    type: "session.update",
    session: {
      type: "transcription",
      audio: { input: { transcription: { model: "whisper-1", language: "en" }, turn_detection: null } },
    },
  });
});
realtime.on("session.updated", () => {
  const audio = readFileSync(file);
  for (let i = 0; i < audio.length; i += 4800) {
    const piece = audio.subarray(i, i + 4800).toString("base64");
    realtime.send({ type: "input_audio_buffer.append", audio: piece });
  }
  realtime.send({ type: "bogus", event_id: "mine" });
  realtime.send({ type: "input_audio_buffer.commit" });
});
realtime.on("conversation.item.input_audio_transcription.delta", (event) => (told.deltas += event.delta));
realtime.on("conversation.item.input_audio_transcription.completed", (event) => {
  told.transcript = event.transcript;
  console.log(JSON.stringify(told));
  realtime.close();
  process.exit(0);
});
setTimeout(() => {
  console.log(JSON.stringify(told));
  process.exit(1);
}, 40_000);
