// A voice heard while it is spoken: in pieces, so that no second of it is heard again and again.

import { merged } from "./model.js";
import { encodeVoice, toMono, weighed } from "./sound.js";

const EVERY = 1; // seconds of sound, from one request to the next
const LEAST = 0.4; // seconds of voice in a piece: what is less may be a hum that sets in

// Seconds: a piece is heard anew as it grows, and once it is so long for the last time. With the shipped weights the pieces
// together agree with the whole sound, at each request from 3 s on, by a cosine of at least 0.995 for the examples, 0.99 for
// voices that speak on, also in noise, and 0.988 for such as pause. With pieces of 2 s it falls to 0.92 where a voice pauses
// for long, and with 4 s to 0.97.
const PIECE = 3;

export class Live {
  #from = 0; // the block with which the piece begins that grows
  #closed = []; // {embedding, weight} of those before
  #asked = 0; // seconds
  #busy = false;
  #voice = false; // whether there was one

  /** `show` gets the embedding of all that was heard of a recording, each time there is more voice, and is waited for. */
  constructor(model, recording, show) {
    this.model = model;
    this.recording = recording;
    this.show = show;
  }

  /**
   * To be called with each block, and the seconds there are by then. One request is under way at a time: a slow server is
   * asked less often, and then for all that has come meanwhile. The first face comes as soon as it can.
   */
  async update(seconds) {
    const wait = this.#voice ? EVERY : this.model.info.min_seconds;
    if (this.#busy || seconds - this.#asked < wait) return;
    this.#busy = true;
    this.#asked = seconds;
    try {
      const embedding = await this.#hear();
      if (embedding) await this.show(embedding);
    } catch {
      // These faces are left out, and the next ones tried: `Done` will say what is wrong.
    } finally {
      this.#busy = false;
    }
  }

  /** The embedding, or null where the piece that grows holds no voice: there is nothing new to show. */
  async #hear() {
    const sound = this.recording.sound(this.#from);
    const next = this.recording.blocks.length;
    const pieces = await weighed(encodeVoice(await toMono(sound), this.model.info.max_seconds));
    const voiced = pieces.filter(({ weight }) => weight >= LEAST);
    this.#voice ||= voiced.length > 0;
    const heard = voiced.length ? [...this.#closed, ...(await this.model.hear(voiced))] : this.#closed;
    if (sound.duration >= PIECE) [this.#closed, this.#from] = [heard, next];
    return voiced.length ? merged(heard) : null;
  }
}
