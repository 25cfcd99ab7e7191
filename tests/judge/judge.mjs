// LiveKit's own package as the judge of ours: one JSON order a line in, one JSON verdict a line out.
//
//   {"do":"verify","key","secret","token"}           → {"ok":true,"claims"} or {"ok":false,"why"}
//   {"do":"sign","key","secret","body"}              → {"ok":true,"authorization"}
//   {"do":"receive","key","secret","body","authorization"} → {"ok":true,"event"} or {"ok":false,"why"}
//   {"do":"ask","url","key","secret","client","method","args"} → {"ok":true,"value"} or {"ok":false,"why","status","code","meta"}
import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

// The package lies in the build folder, not beside this file.
const require = createRequire(pathToFileURL(`${process.argv[2]}/`));
const sdk = require("livekit-server-sdk");

const plain = (value) => JSON.parse(JSON.stringify(value, (_, v) => (typeof v === "bigint" ? Number(v) : v)));

const deeds = {
  async verify({ key, secret, token }) {
    return { claims: await new sdk.TokenVerifier(key, secret).verify(token) };
  },
  // As the server signs its webhooks: a token of the key whose sha256 is the body's.
  async sign({ key, secret, body }) {
    const token = new sdk.AccessToken(key, secret, { ttl: 300 });
    token.sha256 = createHash("sha256").update(body).digest("base64");
    return { authorization: await token.toJwt() };
  },
  async receive({ key, secret, body, authorization }) {
    return { event: plain(await new sdk.WebhookReceiver(key, secret).receive(body, authorization)) };
  },
  async ask({ url, key, secret, client, method, args }) {
    const value = await new sdk[client](url, key, secret)[method](...args);
    return { value: value === undefined ? null : plain(value) };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line);
  let verdict;
  try {
    verdict = { ok: true, ...(await deeds[order.do](order)) };
  } catch (error) {
    verdict = { ok: false, why: String(error?.message ?? error), status: error?.status, code: error?.code, meta: error?.metadata };
  }
  process.stdout.write(`${JSON.stringify(verdict)}\n`);
}
