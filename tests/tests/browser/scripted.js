// A server inside the page, which does what a real one does rarely: the page's WebSocket and fetch are ours.
window.sockets = [];
window.asked = [];

window.WebSocket = class {
  bufferedAmount = 0;
  sent = [];

  constructor() {
    sockets.push(this);
  }

  open() {
    this.onopen?.();
  }

  send(data) {
    this.sent.push(data);
    if (data === '\x1e{"ping":1}') queueMicrotask(() => this.control({ pong: 1 }));
  }

  close(code) {
    this.closed = code ?? 1005;
  }

  say(data) {
    this.onmessage?.({ data });
  }

  control(envelope) {
    this.say("\x1e" + JSON.stringify(envelope));
  }

  hello(cursor, received) {
    this.control({ hello: { session: "lps_0", cursor, received } });
  }

  end(code, reason = "") {
    this.onclose?.({ code, reason });
  }

  // What was said as control envelopes, without pings, and what as messages.
  get controls() {
    const controls = this.sent.filter((data) => data[0] === "\x1e" && data[1] !== "\x1e");
    return controls.map((data) => JSON.parse(data.slice(1))).filter((envelope) => !envelope.ping);
  }

  get messages() {
    return this.sent.filter((data) => data[0] !== "\x1e" || data[1] === "\x1e");
  }
};

// Each request waits until the test answers it.
window.fetch = (url, { body, signal }) =>
  new Promise((answer, fail) => {
    const path = new URL(url).pathname.replace("/ws/session", "");
    const json = (status, value) => new Response(JSON.stringify(value), { status });
    const request = { path, body: body && JSON.parse(body), answer: (value, status = 200) => answer(json(status, value)) };
    request.stream = () => {
      const stream = new TransformStream();
      const writer = stream.writable.getWriter();
      answer(new Response(stream.readable));
      return (event, data) => writer.write(new TextEncoder().encode(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`));
    };
    signal?.addEventListener("abort", () => fail(new DOMException("gone", "AbortError")));
    asked.push(request);
  });
