// A title as a part of an address: "Grüße aus Köln!" becomes "grusse-aus-koln".
const http = require("node:http");

function slug(title) {
  const plain = title.normalize("NFKD").replace(/\p{M}/gu, "").replace(/ß/g, "ss");
  return plain.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");
}

const server = http.createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    const answer = slug(Buffer.concat(parts).toString("utf8"));
    response.writeHead(answer ? 200 : 400, { "Content-Type": "text/plain" });
    response.end(answer ? `${answer}\n` : "a title is expected as the body\n");
  });
});

// On loopback: only the watchdog in the same container is to reach it.
server.listen(3000, "127.0.0.1");
process.on("SIGTERM", () => server.close());
