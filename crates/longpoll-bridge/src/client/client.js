// One conversation over WebSocket, server-sent events or long polling, whichever gets through. Its promises are in
// client.d.ts, its protocol in docs/wire-protocol.md.

const PROTOCOL = "lossless.v1";
const CONTROL = "\x1e"; // begins what is no message
const LASTING = 10_000; // ms after which an end is no sign against a transport
const BATCH = 65_536; // bytes under way
const DEFAULTS = {
  // This script is /ws/client.js.
  websocket: new URL(".", import.meta.url).href.slice(0, -1),
  http: new URL("session", import.meta.url).href,
  transports: ["websocket", "sse", "poll"],
  resume: "",
  helloTimeout: 5_000,
  pingInterval: 15_000,
  pongTimeout: 10_000,
  firstDelay: 500,
  longestDelay: 30_000,
  upgradeAfter: 30_000,
  maxMessages: 1024,
  maxBytes: 1 << 20,
};

export class LosslessSocket extends EventTarget {
  state = "connecting";
  transport = "";
  latency = NaN;

  #options;
  #session = "";
  #news = { resumed: false, unsure: [] }; // for the next `open`
  #cursor = 0; // the last message the page was given
  #acked = 0; // and the server knows
  #asked = 0; // number of the last poll or stream
  #sent = 0; // the last message the page gave
  #queue = []; // those not `received`
  #bytes = 0; // in #queue
  #limits = { wait_ms: 25_000, heartbeat_ms: 15_000, max_message_bytes: BATCH };
  #line; // the transport that carries
  #probe; // a WebSocket tried beside it
  #start = 0; // index of the next transport
  #strikes = 0; // transports in a row that opened and did not last
  #tries = 0;
  #timer; // of the next attempt
  #isTold = false; // the server set it, so nobody shortens it
  #wasCut = false; // so a request may be late
  #upgradeDelay;
  #upgradeIn;
  #ticked = Date.now();
  #ticker = setInterval(() => this.#tick(), 1000);
  #page = new AbortController();

  constructor(options) {
    super();
    this.#options = options = { ...DEFAULTS, ...options };
    options.websocket = new URL(options.websocket, location).href.replace(/^http/, "ws");
    this.#upgradeIn = this.#upgradeDelay = options.upgradeAfter;
    this.#restore();
    const on = (target, name, act) => target?.addEventListener(name, act, { signal: this.#page.signal });
    on(globalThis, "pagehide", (event) => this.#leave(event.persisted));
    on(globalThis, "pageshow", (event) => event.persisted && this.#return());
    on(globalThis, "online", () => this.#wake(true));
    on(globalThis.document, "visibilitychange", () => document.hidden || this.#wake());
    queueMicrotask(() => this.#connect());
  }

  get bufferedAmount() {
    return this.#bytes;
  }

  send(message) {
    if (this.state === "closed") refuse("InvalidStateError", "closed");
    const data = ownCopy(message);
    const size = sizeOf(data);
    const { maxMessages, maxBytes } = this.#options;
    const isFull = this.#queue.length >= maxMessages || this.#bytes + size > maxBytes;
    const isLong = size > (this.#limits.max_message_bytes || Infinity);
    if (isFull || isLong) refuse("QuotaExceededError", isFull ? "full" : "too long");
    this.#keep({ data, size });
    this.#flush();
    return this.#sent;
  }

  close(code = 1000, reason = "") {
    if (this.state === "closed") return;
    if (code !== 1000 && !(code >= 3000 && code < 5000)) refuse("InvalidAccessError", "no such code");
    if (this.#line?.live && this.#line.socket) this.#line.socket.close(code, reason);
    else if (this.#session) this.#fetch("/close", { code, reason }, { keepalive: true }).catch(() => {});
    this.#finish(code, reason, true);
  }

  // Messages

  #keep(item) {
    this.#queue.push({ ...item, seq: ++this.#sent });
    this.#bytes += item.size;
  }

  #flush() {
    const line = this.#line;
    if (!line?.live) return;
    if (!line.socket) return void this.#post(line);
    while (line.next <= this.#sent && line.socket.bufferedAmount < BATCH) {
      // What a POST brought meanwhile is dropped by its number: anything may stand for it.
      const item = this.#queue[line.next++ - this.#sent + this.#queue.length - 1] ?? { data: "" };
      item.isTried = true;
      line.socket.send(item.data[0] === CONTROL ? CONTROL + item.data : item.data);
    }
  }

  #received(seq) {
    const before = this.#queue.length;
    while (this.#queue[0]?.seq <= seq) this.#bytes -= this.#queue.shift().size;
    if (this.#queue.length < before) this.#say("received", { seq });
    this.#flush();
  }

  #message(seq, data) {
    if (seq <= this.#cursor || this.state === "closed") return; // a duplicate
    this.#gap(seq - 1);
    this.#cursor = seq;
    this.dispatchEvent(new MessageEvent("message", { data, lastEventId: String(seq) }));
    if (seq - this.#acked >= 32) this.#ack();
  }

  #gap(cursor) {
    const lost = cursor - this.#cursor;
    if (lost <= 0) return;
    this.#cursor = cursor;
    this.#say("gap", { lost });
  }

  #ack() {
    const line = this.#line;
    if (!line?.live || this.#cursor <= this.#acked) return;
    if (line.socket) line.say({ ack: (this.#acked = this.#cursor) });
    else if (line.kind === "sse") this.#post(line);
  }

  // Transports

  #connect() {
    clearTimeout(this.#timer);
    if (this.state === "closed") return;
    this.#line = this.#open(this.#start);
    this.#become("connecting");
  }

  #open(at) {
    const line = { at, kind: this.#options.transports[at], live: 0, quiet: 0, beat: 0, abort: new AbortController() };
    line.stop = () => line.abort.abort();
    // A failure has to find the line in its place.
    queueMicrotask(() => line.over || (line.kind === "websocket" ? this.#websocket(line) : this.#http(line)));
    return line;
  }

  #live(line, hello) {
    if (line === this.#probe) {
      this.#drop(this.#line);
      this.#line = line;
      this.#probe = undefined;
    }
    this.#adopt(hello);
    line.live = Date.now();
    line.next = hello.received + 1;
    this.#start = line.at;
    this.#become("open", line.kind);
    if (this.#news) this.#say("open", this.#news);
    this.#news = undefined;
    this.#received(hello.received);
  }

  #adopt(hello) {
    Object.assign(this.#limits, hello);
    if (!hello.session || hello.session === this.#session) return;
    // Numbers begin anew. What may have been handled already is not sent on a guess.
    const former = this.#queue;
    this.#session = hello.session;
    this.#queue = [];
    this.#cursor = this.#acked = this.#sent = this.#bytes = 0;
    for (const item of former) if (!item.isTried) this.#keep(item);
    this.#news = { resumed: false, unsure: former.filter((item) => item.isTried).map((item) => item.data) };
  }

  #drop(line) {
    if (!line || line.over) return;
    line.over = this.#wasCut = true;
    line.live = 0;
    line.stop();
  }

  #ended(line, { code = 1006, reason = "", retry = /^retry=(\d+)$/.exec(reason)?.[1] }) {
    if (line.over) return;
    const wasCut = this.#wasCut;
    const { live } = line;
    this.#drop(line);
    const probe = this.#probe;
    this.#probe = undefined;
    if (line === probe) return;
    if (code === 4409) {
      // Our own step to WebSocket.
      if (probe) {
        this.#line = probe;
        return this.#become("connecting");
      }
      // Once it may have been a late request of our own.
      if (!wasCut) return this.#finish(code, reason);
      this.#wasCut = false;
    }
    if (isFinal(code)) return this.#finish(code, reason);
    if (probe) this.#drop(probe);
    const lasted = live && Date.now() - live > LASTING;
    if (lasted) this.#tries = this.#strikes = 0;
    else if (live) this.#strikes++;
    if (lasted && line.socket) this.#upgradeDelay = this.#options.upgradeAfter;
    const isGone = code === 4404 || code === 4410;
    const isRefused = code >= 4000 && !isGone;
    if (isGone && this.#session) {
      this.#session = "";
      return this.#connect();
    }
    if (retry !== undefined && !isRefused) this.#session = ""; // it ended
    const isBlocked = retry === undefined && !isRefused && (!live || this.#strikes > 1);
    if (isBlocked && line.at + 1 < this.#options.transports.length) {
      this.#start = line.at + 1;
      this.#strikes = 0;
      this.#upgradeIn = this.#upgradeDelay;
      return this.#connect();
    }
    if (!live) this.#start = 0;
    this.#isTold = retry !== undefined;
    const delay = this.#isTold ? Math.min(retry, 300_000) : this.#jitter(this.#tries);
    this.#tries++;
    this.#become("waiting", "", delay);
    this.#timer = setTimeout(() => this.#connect(), delay);
  }

  #jitter(tries) {
    const { firstDelay, longestDelay } = this.#options;
    return Math.random() * Math.min(longestDelay, firstDelay * 2 ** tries);
  }

  #finish(code, reason, wasClean = code !== 1006) {
    clearTimeout(this.#timer);
    clearInterval(this.#ticker);
    this.#page.abort();
    this.#drop(this.#line);
    this.#drop(this.#probe);
    this.#become("closed");
    this.dispatchEvent(new CloseEvent("close", { code, reason, wasClean }));
  }

  // WebSocket

  #websocket(line) {
    let socket;
    try {
      socket = line.socket = new WebSocket(this.#options.websocket, PROTOCOL);
    } catch {
      return this.#ended(line, {}); // forbidden by the page
    }
    socket.binaryType = "arraybuffer";
    line.say = (envelope) => socket.send(CONTROL + JSON.stringify(envelope));
    line.stop = () => {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close(); // without a code the session lives on
    };
    socket.onopen = () => {
      const session = this.#session;
      line.say(session ? { resume: { session, cursor: this.#cursor } } : { open: {} });
    };
    socket.onclose = (event) => this.#ended(line, event);
    socket.onmessage = ({ data }) => {
      line.quiet = 0;
      if (data[0] !== CONTROL) this.#message(++line.seq, data);
      else if (data[1] === CONTROL) this.#message(++line.seq, data.slice(1));
      else this.#control(line, JSON.parse(data.slice(1)));
    };
  }

  #control(line, { hello, gap, ack, pong }) {
    if (hello) {
      line.seq = hello.cursor;
      this.#live(line, hello);
      this.#ping(line);
    } else if (gap) {
      this.#gap((line.seq = gap.cursor));
    } else if (ack) {
      this.#received(ack);
    } else if (pong) {
      this.#measured(line.pinged);
      line.pinged = 0;
    }
  }

  #ping(line) {
    line.pinged = performance.now();
    line.beat = 0;
    line.say({ ping: 1 });
  }

  // HTTP

  async #http(line) {
    try {
      if (!this.#session) this.#adopt(await this.#ask(line, "", {}));
      await (line.kind === "sse" ? this.#stream(line) : this.#poll(line));
    } catch (end) {
      this.#ended(line, end);
    }
  }

  async #poll(line) {
    this.#live(line, await this.#ask(line, "/send", { cursor: this.#cursor }));
    for (;;) {
      const cursor = this.#cursor;
      const answer = await this.#ask(line, `/poll?max=256&cursor=${cursor}&request=${++this.#asked}`, undefined, this.#limits.wait_ms + 10_000);
      this.#acked = cursor;
      if (answer.gap) this.#gap(answer.gap.cursor);
      for (const message of answer.messages) this.#message(message.seq, unwrap(message));
      this.#received(answer.received);
      if (answer.close) throw answer.close;
    }
  }

  async #stream(line) {
    const response = await this.#fetch(`/events?cursor=${this.#cursor}&request=${++this.#asked}`, undefined, line.abort);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let text = ""; ; ) {
      const { value, done } = await reader.read();
      if (done || line.over) throw {};
      line.quiet = 0;
      const events = (text + value).split("\n\n");
      text = events.pop();
      for (const event of events) {
        const field = (name) => new RegExp(`^${name}: ?(.*)`, "m").exec(event)?.[1];
        const name = field("event");
        const data = JSON.parse(field("data") ?? "{}");
        if (name === "hello") this.#live(line, data);
        else if (name === "gap") this.#gap(data.cursor);
        else if (name === "heartbeat") this.#received(data.received);
        else if (name === "close") throw data;
        else if (name === "replaced") throw { code: 4409 };
        else if (data.seq) this.#message(data.seq, unwrap(data));
      }
    }
  }

  // One POST at a time, or they overtake each other.
  async #post(line) {
    if (line.isPosting) return;
    line.isPosting = true;
    try {
      while (!line.over && (this.#queue.length || (line.kind === "sse" && this.#cursor > this.#acked))) {
        let size = 0;
        const batch = this.#queue.filter((item, at) => at < 64 && ((size += item.size) <= BATCH / 4 || !at));
        for (const item of batch) item.isTried = true;
        const cursor = this.#cursor;
        const started = performance.now();
        const { received } = await this.#ask(line, "/send", { messages: batch.map(wrap), cursor });
        this.#measured(started);
        this.#acked = Math.max(this.#acked, cursor);
        this.#received(received);
      }
    } catch (end) {
      this.#ended(line, end);
    }
    line.isPosting = false;
  }

  // Every request may be repeated, and is on a transport that has worked.
  async #ask(line, path, body, limit = 15_000) {
    for (let tries = 0; ; tries++) {
      try {
        const signal = AbortSignal.any([line.abort.signal, AbortSignal.timeout(limit)]);
        const answer = await (await this.#fetch(path, body, { signal })).json();
        if (line.over) throw {};
        return answer;
      } catch (end) {
        if (line.over || !line.live || tries > 2 || (end.code >= 1000 && end.code < 4500)) throw end;
        await new Promise((done) => setTimeout(done, end.retry ?? this.#jitter(tries)));
      }
    }
  }

  async #fetch(path, body, { signal, keepalive }) {
    const response = await fetch(this.#options.http + path, {
      method: body ? "POST" : "GET",
      body: body && JSON.stringify(body),
      headers: this.#session ? { "Longpoll-Session": this.#session } : {},
      cache: "no-store",
      signal,
      keepalive,
    });
    if (response.ok) return response;
    // The server says why in JSON. Other answers are those of a proxy.
    const { error } = await response.json().catch(() => ({}));
    const seconds = response.headers.get("Retry-After");
    throw error ? { code: 4000 + response.status, reason: error, retry: seconds ? seconds * 1000 : undefined } : {};
  }

  // Time and the page

  #tick() {
    const passed = Date.now() - this.#ticked;
    this.#ticked += passed;
    // A page that slept did not listen.
    const step = passed > 0 && passed < 5_000 ? passed : 1_000;
    if (step !== passed) {
      this.#wake();
      const { live, kind } = this.#line ?? {};
      if (live && kind === "sse") this.#line.quiet = 2 * this.#limits.heartbeat_ms - 5_000;
    }
    for (const line of [this.#line, this.#probe]) if (line && !line.over) this.#watch(line, step);
    this.#ack();
    this.#flush();
    const { transports } = this.#options;
    if (!this.#line?.live || this.#line.socket || this.#probe || transports[0] !== "websocket") return;
    if ((this.#upgradeIn -= step) > 0) return;
    this.#upgradeIn = this.#upgradeDelay = Math.min(this.#upgradeDelay * 2, 600_000);
    this.#probe = this.#open(0);
  }

  #watch(line, step) {
    const { helloTimeout, pingInterval, pongTimeout } = this.#options;
    line.quiet += step;
    line.beat += step;
    const end = (reason) => this.#ended(line, { reason });
    if (!line.live) {
      if (line.quiet > helloTimeout) end("no hello");
    } else if (line.socket) {
      if (line.pinged && line.beat > pongTimeout && line.quiet > pongTimeout) end("no pong");
      else if (!line.pinged && line.beat > pingInterval) this.#ping(line);
    } else if (line.kind === "sse" && line.quiet > 2 * this.#limits.heartbeat_ms) {
      end("silent");
    }
  }

  #wake(isElsewhere) {
    const line = this.#line;
    if (this.state === "waiting") {
      if (!this.#isTold) this.#connect();
    } else if (line?.live && line.socket) {
      if (!line.pinged) this.#ping(line);
    } else if (line?.live && isElsewhere) {
      this.#drop(line);
      this.#connect();
    }
  }

  #leave(isKept) {
    const key = this.#options.resume;
    if (!key) return isKept || this.close();
    const queue = this.#queue.map((item) => ({ ...item, ...wrap(item), data: undefined }));
    const saved = {
      session: this.#session,
      cursor: this.#cursor,
      asked: this.#asked,
      sent: this.#sent,
      start: this.#start,
      queue,
    };
    try {
      sessionStorage.setItem(key, JSON.stringify(saved));
    } catch {}
  }

  // Taken out: a duplicate of this tab finds nothing.
  #found() {
    const key = this.#options.resume;
    try {
      const saved = JSON.parse(sessionStorage.getItem(key));
      sessionStorage.removeItem(key);
      return saved;
    } catch {}
  }

  #return() {
    // A later page of this tab may have taken it.
    if (this.#options.resume && !this.#found()) this.#session = "";
    this.#wake();
  }

  #restore() {
    const saved = this.#options.resume && this.#found();
    if (!saved) return;
    this.#news.resumed = true;
    this.#session = saved.session;
    this.#cursor = saved.cursor;
    this.#asked = saved.asked;
    this.#start = saved.start;
    this.#sent = saved.sent - saved.queue.length;
    for (const item of saved.queue) this.#keep({ ...item, data: unwrap(item) });
  }

  // What the page hears

  #become(state, transport = "", delay = 0) {
    Object.assign(this, { state, transport });
    this.#say("state", { state, transport, delay });
  }

  #measured(started) {
    this.latency = performance.now() - started;
    this.#say("latency", { latency: this.latency });
  }

  #say(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

function refuse(name, why) {
  throw new DOMException(why, name);
}

// Coming back would end the same way.
function isFinal(code) {
  const isTemporary = [1001, 1005, 1006, 4404, 4408, 4409, 4410, 4429].includes(code);
  return code >= 1000 && !isTemporary && !(code > 1010 && code < 1016) && !(code >= 4500 && code < 4600);
}

// The page may go on using its buffer.
function ownCopy(message) {
  if (message instanceof ArrayBuffer) return message.slice();
  if (ArrayBuffer.isView(message)) {
    return message.buffer.slice(message.byteOffset, message.byteOffset + message.byteLength);
  }
  return typeof message === "string" ? message : JSON.stringify(message);
}

function sizeOf(data) {
  return data.byteLength ?? new TextEncoder().encode(data).length;
}

function wrap({ seq, data }) {
  if (typeof data === "string") return { seq, text: data };
  return { seq, base64: btoa(Array.from(new Uint8Array(data), (byte) => String.fromCharCode(byte)).join("")) };
}

function unwrap({ text, base64 }) {
  return text ?? Uint8Array.from(atob(base64), (char) => char.charCodeAt(0)).buffer;
}
