// Sound in: from the microphone or a file, out as the 16-bit mono WAV that the model takes.

import { RATE, voicedSeconds } from "./voice.js";

const MOST_RATE = 48000;
const SILENCE = 1e-4; // of the loudest sample
const LOUD = 0.25; // the least that it shall be in 16 bits

/** Records until `stop()`, which gives all of it; `onBlock` gets every block of sound meanwhile, mixed. */
export class Recording {
  static async start(onBlock) {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error("This browser gives the page no microphone: that takes https, or a server on this machine.");
    }
    // What improves calls changes voices.
    const audio = { channelCount: 2, echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio });
    } catch (error) {
      throw new Error(microphoneProblem(error));
    }
    const context = new AudioContext();
    await context.audioWorklet.addModule("recorder-worklet.js");
    const recording = new Recording(stream, context);
    // A microphone of one channel gives two that are alike.
    const channels = { channelCount: 2, channelCountMode: "explicit" };
    const recorder = new AudioWorkletNode(context, "recorder", { numberOfOutputs: 0, ...channels });
    recording.port = recorder.port;
    recorder.port.onmessage = ({ data }) => {
      recording.blocks.push(data);
      onBlock(mix(data), context.sampleRate);
    };
    context.createMediaStreamSource(stream).connect(recorder);
    return recording;
  }

  constructor(stream, context) {
    this.stream = stream;
    this.context = context;
    this.blocks = [];
  }

  async stop() {
    for (const track of this.stream.getTracks()) track.stop();
    await this.context.close();
    this.port.close(); // else the browser keeps it, and all that was recorded
    const sound = this.sound();
    this.blocks = [];
    return sound;
  }

  /** An AudioBuffer of what was recorded, from a block on. */
  sound(from = 0) {
    const blocks = this.blocks.slice(from);
    const length = blocks.reduce((sum, [samples]) => sum + samples.length, 0);
    const { sampleRate } = this.context;
    const buffer = new AudioBuffer({ length: Math.max(1, length), numberOfChannels: 2, sampleRate });
    let at = 0;
    for (const block of blocks) {
      block.forEach((samples, channel) => buffer.copyToChannel(samples, channel, at));
      at += block[0].length;
    }
    return buffer;
  }
}

function microphoneProblem(error) {
  if (error.name === "NotFoundError") return "No microphone was found. A sound file or an example does as well.";
  if (error.name === "NotAllowedError") {
    return "The microphone is not allowed here. Allow it in the browser's settings, or choose a sound file.";
  }
  return `The microphone cannot be used: ${error.message}`;
}

/** Any file that the browser can decode, as an AudioBuffer. */
export async function decode(file) {
  const bytes = await file.arrayBuffer();
  try {
    return await new OfflineAudioContext(1, 1, MOST_RATE).decodeAudioData(bytes);
  } catch {
    throw new Error(`${file.name || "The file"} holds no sound that this browser can read.`);
  }
}

/** One channel of at most 48 kHz: {samples, rate}. */
export async function toMono(buffer) {
  const samples = mix(Array.from({ length: buffer.numberOfChannels }, (_, channel) => buffer.getChannelData(channel)));
  if (buffer.sampleRate <= MOST_RATE) return { samples, rate: buffer.sampleRate };
  const mono = new AudioBuffer({ length: samples.length, sampleRate: buffer.sampleRate });
  mono.copyToChannel(samples, 0);
  const context = new OfflineAudioContext(1, Math.ceil(buffer.duration * MOST_RATE), MOST_RATE);
  const source = new AudioBufferSourceNode(context, { buffer: mono });
  source.connect(context.destination); // which resamples
  source.start();
  return { samples: (await context.startRendering()).getChannelData(0), rate: MOST_RATE };
}

/**
 * The mean of channels, or the strongest of them where they cancel each other out, as on a cable that carries the same
 * sound upside down: where the mean holds less than half the energy that it would of unrelated channels.
 */
export function mix(channels) {
  const count = channels.length;
  const mean = new Float32Array(channels[0].length);
  for (const samples of channels) for (let i = 0; i < mean.length; i++) mean[i] += samples[i] / count;
  const variances = channels.map(variance);
  const all = variances.reduce((sum, one) => sum + one);
  return 2 * count ** 2 * variance(mean) < all ? channels[variances.indexOf(Math.max(...variances))] : mean;
}

function variance(samples) {
  let [sum, squares] = [0, 0];
  for (const sample of samples) {
    sum += sample;
    squares += sample * sample;
  }
  return squares / samples.length - (sum / samples.length) ** 2;
}

/**
 * WAV files, as bytes, of pieces of so many seconds, but for silent ones: none of silence. The last two are alike and
 * shorter. So Python's `encode_voice` makes them.
 */
export function encodeVoice({ samples, rate }, seconds) {
  const most = Math.floor(seconds * rate);
  const pieces = [];
  let rest = samples;
  for (; rest.length >= 2 * most; rest = rest.subarray(most)) pieces.push(rest.subarray(0, most));
  const half = rest.length > most ? Math.ceil(rest.length / 2) : rest.length;
  pieces.push(rest.subarray(0, half), rest.subarray(half));
  const loud = pieces.filter((piece) => piece.some((sample) => Math.abs(sample) >= SILENCE));
  return loud.map((piece) => encodeWav(piece, rate));
}

/** Each of the pieces, WAV files, with its weight among them, which is the seconds of voice in it: {wav, weight}. */
export async function weighed(wavs) {
  const pieces = [];
  for (const wav of wavs) {
    const { buffer } = wav.slice(); // which decoding takes away
    const sound = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(buffer); // which resamples
    pieces.push({ wav, weight: voicedSeconds(sound.getChannelData(0)) });
  }
  return pieces;
}

// What is quiet is raised first: 16 bits would leave little of it.
function encodeWav(samples, rate) {
  const loudest = samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), SILENCE);
  const scale = 32768 * Math.max(1, LOUD / loudest);
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const text = (at, letters) => [...letters].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + 2 * samples.length, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 1, true); // channels
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((sample, i) => {
    view.setInt16(44 + 2 * i, Math.max(-32768, Math.min(32767, Math.round(scale * sample))), true);
  });
  return new Uint8Array(view.buffer);
}

/** Draws samples, all or the last of them, as a waveform. */
export function drawWaveform(canvas, samples) {
  const { clientWidth: width, clientHeight: height } = canvas;
  canvas.width = width * devicePixelRatio; // which clears it, too
  canvas.height = height * devicePixelRatio;
  const context = canvas.getContext("2d");
  context.scale(devicePixelRatio, devicePixelRatio);
  context.fillStyle = getComputedStyle(canvas).getPropertyValue("--accent");
  const bars = Math.floor(width / 5);
  for (let bar = 0; bar < bars; bar++) {
    const from = Math.floor((bar * samples.length) / bars);
    const to = Math.max(from + 1, Math.floor(((bar + 1) * samples.length) / bars));
    let most = 0;
    for (let i = from; i < to && i < samples.length; i++) most = Math.max(most, Math.abs(samples[i]));
    const tall = Math.max(3, Math.sqrt(Math.min(1, most)) * height); // so that a quiet voice is seen
    context.beginPath();
    context.roundRect(bar * 5 + 1, (height - tall) / 2, 3, tall, 1.5);
    context.fill();
  }
}
