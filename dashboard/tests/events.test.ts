import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { listen, type Stream } from "../src/api/events";

const real = globalThis.fetch;
let stream: Stream | null = null;

afterEach(() => {
  stream?.close();
  globalThis.fetch = real;
});

type Says = (text: string) => void;

/** A service that says what it is told to on each connection, and never ends one. */
function service(begin: (say: Says, connection: number) => void): { connections: () => number } {
  let count = 0;
  globalThis.fetch = (_, init) => {
    const number = ++count;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        init?.signal?.addEventListener("abort", () => controller.error(new Error("let go")));
        begin((text) => controller.enqueue(new TextEncoder().encode(text)), number);
      },
    });
    return Promise.resolve(new Response(body));
  };
  return { connections: () => count };
}

function until(holds: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const look = (): unknown => (holds() ? resolve() : setTimeout(look, 2));
    look();
  });
}

test("an event is told once it is whole enough to be one, and a sign of life is none", async () => {
  let told = 0;
  let say: Says = () => undefined;
  service((with_) => {
    say = with_;
  });
  stream = listen("/v1/events", () => told++, { silence_ms: 60_000, retry_ms: 1 });
  await until(() => told === 1); // it has begun
  say(": still here\n\n");
  say("id: 4\neve");
  say("nt: epoch\ndata: {}\n\n");
  await until(() => told === 2);
  assert.equal(stream.isOpen(), true);
});

test("a connection that falls silent is let go and opened again, and what was missed is asked for", async () => {
  let told = 0;
  const { connections } = service((say, connection) => {
    if (connection === 1) say("retry: 1000\n\n");
  });
  stream = listen("/v1/events", () => told++, { silence_ms: 20, retry_ms: 1 });
  await until(() => connections() >= 3);
  assert.ok(told >= 2);
  stream.close();
});

test("a connection with signs of life is kept", async () => {
  const { connections } = service((say) => {
    const timer = setInterval(() => {
      try {
        say(": still here\n\n");
      } catch {
        clearInterval(timer);
      }
    }, 5);
  });
  stream = listen("/v1/events", () => undefined, { silence_ms: 2000, retry_ms: 1 });
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(connections(), 1);
  stream.close();
});
