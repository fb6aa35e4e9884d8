// The model behind the server's REST API, which is TensorFlow Serving's, and the arithmetic of its inputs.

export class Model {
  static async connect() {
    return new Model(await answer(await fetch("info")));
  }

  constructor(info) {
    this.info = info;
  }

  /** What is heard of each piece of a voice, {wav, weight}: {embedding, weight}. */
  async hear(pieces) {
    const embeddings = await this.#predict("embed_speech", { wav_bytes: pieces.map(({ wav }) => bytes(wav)) });
    return pieces.map(({ weight }, i) => ({ embedding: embeddings[i], weight }));
  }

  /** For each embedding with its z a face: {size, pixels}, with red, green and blue of each pixel. */
  async draw(embeddings, zs) {
    const images = await this.#predict("generate_from_embedding", { embedding: embeddings, z: zs });
    return images.map((rows) => ({ size: rows.length, pixels: rows.flat() }));
  }

  /** How likely each face is the voice's: the weighted mean of what its pieces say. */
  async match(pieces, jpegs) {
    const faces = jpegs.map((b64) => ({ b64 }));
    const said = await Promise.all(
      pieces.map(({ wav }) => this.#predict("match", { wav_bytes: bytes(wav), jpeg_bytes: faces })),
    );
    return mean(said, pieces);
  }

  /** The faces in a photograph: [{jpeg_b64, box}]. */
  async faces(photograph) {
    return (await answer(await fetch("faces", { method: "POST", body: photograph }))).faces;
  }

  async #predict(signature, inputs) {
    const body = JSON.stringify({ signature_name: signature, inputs });
    const place = `v1/models/${encodeURIComponent(this.info.model_name)}:predict`;
    return (await answer(await fetch(place, { method: "POST", body }))).outputs;
  }

  /** What is not of the voice, drawn at random. */
  randomZ() {
    return Array.from({ length: this.info.z_size }, () => {
      const [u, v] = [1 - Math.random(), Math.random()];
      return Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * v);
    });
  }
}

async function answer(response) {
  let content;
  try {
    content = await response.json();
  } catch {
    throw new Error(`The server answers with ${response.status} ${response.statusText}.`);
  }
  if (!response.ok) throw new Error(content.error);
  return content;
}

/** The embedding of a voice from those of its pieces, {embedding, weight}: their weighted mean, of unit length. */
export function merged(heard) {
  const whole = mean(heard.map(({ embedding }) => embedding), heard);
  return whole.map((x) => x / Math.hypot(...whole));
}

/** Of rows of numbers, each with the weight of its piece. */
function mean(rows, pieces) {
  const all = pieces.reduce((sum, { weight }) => sum + weight, 0);
  return rows[0].map((_, i) => rows.reduce((sum, row, piece) => sum + pieces[piece].weight * row[i], 0) / all);
}

function bytes(array) {
  let binary = "";
  for (let i = 0; i < array.length; i += 8192) binary += String.fromCharCode(...array.subarray(i, i + 8192));
  return { b64: btoa(binary) };
}

/** Between two embeddings, in radians. */
export function angleBetween(one, other) {
  return Math.acos(Math.max(-1, Math.min(1, one.reduce((sum, x, i) => sum + x * other[i], 0))));
}

/** The point at a share of the way between two embeddings, on the sphere they lie on. */
export function slerp(start, end, share) {
  const angle = angleBetween(start, end);
  if (angle < 1e-6) return start;
  const [a, b] = [Math.sin((1 - share) * angle) / Math.sin(angle), Math.sin(share * angle) / Math.sin(angle)];
  return start.map((x, i) => a * x + b * end[i]);
}
