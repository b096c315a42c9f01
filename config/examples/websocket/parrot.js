// Says back every text of a web socket (RFC 6455), by Node's own modules alone.
const http = require("node:http");
const { createHash } = require("node:crypto");

const MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const TEXT = 1, CLOSE = 8, PING = 9, PONG = 10;

// A frame of a server: not masked.
function frame(kind, data) {
  const long = data.length > 125;
  const head = Buffer.alloc(long ? 4 : 2);
  head[0] = 0x80 | kind;
  head[1] = long ? 126 : data.length;
  if (long) head.writeUInt16BE(data.length, 2);
  return Buffer.concat([head, data]);
}

const server = http.createServer((request, response) => {
  if (request.url === "/_/health") return response.end("well\n");
  response.writeHead(426, { Upgrade: "websocket" }).end("ask for a web socket\n");
});

server.on("upgrade", (request, socket) => {
  const accept = createHash("sha1").update(request.headers["sec-websocket-key"] + MAGIC).digest("base64");
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
  let waiting = Buffer.alloc(0);
  socket.on("data", (data) => {
    waiting = Buffer.concat([waiting, data]);
    // Short frames and those of 16 bits; a client masks each of its own.
    while (waiting.length >= 6) {
      let [length, at] = [waiting[1] & 0x7f, 2];
      if (length === 127) return socket.destroy();
      if (length === 126) [length, at] = [waiting.readUInt16BE(2), 4];
      if (waiting.length < at + 4 + length) return;
      const mask = waiting.subarray(at, at + 4);
      const text = waiting.subarray(at + 4, at + 4 + length).map((byte, place) => byte ^ mask[place % 4]);
      const kind = waiting[0] & 0x0f;
      waiting = waiting.subarray(at + 4 + length);
      if (kind === CLOSE) return socket.end(frame(CLOSE, text));
      if (kind === PING) socket.write(frame(PONG, text));
      if (kind === TEXT) socket.write(frame(TEXT, text));
    }
  });
  socket.on("error", () => socket.destroy());
});

server.listen(8080, "0.0.0.0");
process.on("SIGTERM", () => server.close());
