// A face as a PNG file that says what it is, as every PNG of this project does.

const CHUNKS = { Software: "s2f_tf page", Comment: "synthetic face generated from speech" };
const AFTER_HEADER = 33; // signature and IHDR

export async function toPng(canvas) {
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  const bytes = new Uint8Array(await blob.arrayBuffer());
  const chunks = Object.entries(CHUNKS).map(([key, text]) => textChunk(`${key}\0${text}`));
  return new Blob([bytes.slice(0, AFTER_HEADER), ...chunks, bytes.slice(AFTER_HEADER)], { type: "image/png" });
}

function textChunk(text) {
  const content = new TextEncoder().encode(`tEXt${text}`);
  const view = new DataView(new ArrayBuffer(content.length + 8));
  view.setUint32(0, content.length - 4);
  new Uint8Array(view.buffer).set(content, 4);
  view.setUint32(content.length + 4, crc32(content));
  return view;
}

function crc32(content) {
  let crc = ~0;
  for (const byte of content) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
