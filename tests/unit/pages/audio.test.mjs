/** Packets, PCM and the resampler: no sample lost or gained, wherever blocks are cut. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { PcmMessages } from '../../../whisperlive_hybrid/pages/static/client/encoders.js';
import { PacketFramer } from '../../../whisperlive_hybrid/pages/static/client/packets.js';
import { Resampler } from '../../../whisperlive_hybrid/pages/static/client/resampler.js';

/** Cut an array into blocks of 128 and odd sizes. */
function* blocks(samples, sizes = [128]) {
  for (let at = 0, i = 0; at < samples.length; i += 1) {
    const size = sizes[i % sizes.length];
    yield samples.subarray(at, at + size);
    at += size;
  }
}
const tone = (rate, seconds, hz) => Float32Array.from({ length: rate * seconds }, (_, i) => Math.sin((2 * Math.PI * hz * i) / rate));
const all = (parts) => {
  const joined = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
};

test('25 packets make a message, each led by its length, big-endian', () => {
  const framer = new PacketFramer();
  const packets = Array.from({ length: 30 }, (_, i) => new Uint8Array(i === 3 ? 300 : i + 1).fill(i));
  const messages = packets.map((packet) => framer.push(packet)).filter(Boolean);
  messages.push(framer.flush());
  assert.deepEqual(messages.map((message) => message.duration_s), [0.5, 0.1]);
  const found = [];
  for (const { bytes } of messages) {
    for (let at = 0; at < bytes.length; ) {
      const length = (bytes[at] << 8) | bytes[at + 1];
      found.push(bytes.slice(at + 2, at + 2 + length));
      at += 2 + length;
    }
  }
  assert.deepEqual(found, packets);
  assert.equal(framer.flush(), null);
});

test('PCM comes out whole in messages of 500 ms, whatever the blocks', async () => {
  const samples = tone(16000, 1.3, 440);
  const messages = [];
  const encoder = new PcmMessages((bytes, duration_s) => messages.push({ bytes, duration_s }));
  for (const block of blocks(samples, [640, 1, 77])) encoder.push(block);
  await encoder.flush();
  assert.deepEqual(messages.map((m) => m.bytes.length), [16000, 16000, 9600]);
  const values = messages.flatMap(({ bytes }) => [...new Int16Array(bytes.buffer)]);
  assert.deepEqual(values, [...samples].map((x) => Math.round(x * 32767) + 0));
});

test('full scale does not wrap around', async () => {
  const messages = [];
  const encoder = new PcmMessages((bytes) => messages.push(bytes));
  encoder.push(Float32Array.from([2, -2, 1, -1]));
  await encoder.flush();
  assert.deepEqual([...new Int16Array(messages[0].buffer)], [32767, -32767, 32767, -32767]);
});

for (const rate of [48000, 44100, 22050, 8000]) {
  test(`${rate} Hz becomes 16 kHz without drift, alike for all block sizes`, () => {
    const seconds = 5;
    const samples = tone(rate, seconds, 440);
    const outputs = [[128], [1764, 3, 511]].map((sizes) => {
      const resampler = new Resampler(rate);
      return all([...blocks(samples, sizes)].map((block) => resampler.process(block)));
    });
    const [output, other] = outputs;
    assert.ok(other.length - output.length <= 1 && output.every((x, i) => x === other[i]), 'blocks make a difference');
    assert.ok(Math.abs(output.length - 16000 * seconds) <= 40, `${output.length} samples`);
    // The same tone at the same phase, at the end as at the beginning.
    const expected = tone(16000, seconds, 440);
    for (const from of [1000, 16000 * (seconds - 1)]) {
      for (let i = from; i < from + 1000; i += 1) assert.ok(Math.abs(output[i] - expected[i]) < 0.02, `sample ${i}`);
    }
  });
}

test('what 16 kHz cannot hold is filtered out, not folded into speech', () => {
  const resampler = new Resampler(48000);
  const output = resampler.process(tone(48000, 1, 12000)).subarray(200);
  const power = output.reduce((sum, x) => sum + x * x, 0) / output.length;
  assert.ok(10 * Math.log10(power / 0.5) < -40, `${10 * Math.log10(power / 0.5)} dB`);
});
