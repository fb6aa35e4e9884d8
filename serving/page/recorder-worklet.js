// Hands the microphone's sound, two channels, to the page, some 20 times a second: the page draws it each time.
const BLOCK = 2048;

class Recorder extends AudioWorkletProcessor {
  block = [new Float32Array(BLOCK), new Float32Array(BLOCK)];
  filled = 0;

  process([channels]) {
    for (let i = 0; i < (channels[0]?.length ?? 0); i++) {
      this.block.forEach((samples, channel) => (samples[this.filled] = channels[channel][i]));
      if (++this.filled === BLOCK) {
        this.port.postMessage(this.block); // which copies it
        this.filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("recorder", Recorder);
