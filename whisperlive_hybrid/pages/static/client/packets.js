/**
 * Raw Opus packets to messages: each packet is led by its length as a 16-bit big-endian number, 25 packets of 20 ms
 * make a message.
 */

export const PACKET_S = 0.02;
export const PACKETS_PER_MESSAGE = 25;

export class PacketFramer {
  constructor() {
    /** @type {Uint8Array[]} */
    this.packets = [];
  }

  /**
   * @param {Uint8Array} packet
   * @returns {{bytes: Uint8Array, duration_s: number} | null} a message when 500 ms are together
   */
  push(packet) {
    this.packets.push(packet);
    return this.packets.length >= PACKETS_PER_MESSAGE ? this.flush() : null;
  }

  /** What is there, or null. */
  flush() {
    if (!this.packets.length) return null;
    const bytes = new Uint8Array(this.packets.reduce((sum, packet) => sum + 2 + packet.byteLength, 0));
    let at = 0;
    for (const packet of this.packets) {
      bytes[at] = packet.byteLength >> 8;
      bytes[at + 1] = packet.byteLength & 0xff;
      bytes.set(packet, at + 2);
      at += 2 + packet.byteLength;
    }
    const duration_s = this.packets.length * PACKET_S;
    this.packets = [];
    return { bytes, duration_s };
  }
}
