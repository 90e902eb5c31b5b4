/**
 * A browser client for `lossless.v1` (docs/wire-protocol.md): one conversation over WebSocket, server-sent events or
 * long polling, whichever gets through.
 *
 * Both ends number their messages and keep them until the other one has them. While the session lives, each message
 * arrives once and in order, whatever happens to the transports beneath; where the server could keep no more, a `gap`
 * event tells how many are lost.
 *
 * ```js
 * import { LosslessSocket } from "/ws/client.js";
 *
 * const socket = new LosslessSocket();
 * socket.addEventListener("message", (event) => console.log(event.data));
 * socket.send("hello");
 * ```
 *
 * - It begins with WebSocket. Where that is refused, is accepted and cut twice within 10 s, or stays silent, it goes on
 *   with server-sent events, then with long polls, and tries WebSocket again beside them after `upgradeAfter`.
 * - When nothing gets through it comes back after a random time below a ceiling that doubles from `firstDelay` to
 *   `longestDelay`, and at once when the page becomes visible or the browser goes online. A time that the server sets
 *   (`retry=<ms>`, `Retry-After`) is kept to, up to five minutes.
 * - A page that slept resumes where it was. Longer than the server's resume time (60 s) it finds the session gone: then
 *   a new one is opened and `open` says so.
 * - It wants browsers of 2024 or later (`AbortSignal.any`) and works in workers too.
 */
export declare class LosslessSocket extends EventTarget {
  constructor(options?: LosslessSocketOptions);

  /** `waiting`: until the next attempt. `closed`: for good. */
  readonly state: "connecting" | "open" | "waiting" | "closed";

  /** What carries the session; empty while nothing does. */
  readonly transport: "" | Transport;

  /**
   * Milliseconds of the last way there and back: of a ping on WebSocket, of a POST (with the time of the server's
   * handlers) otherwise. `NaN` before the first.
   */
  readonly latency: number;

  /** Bytes of the messages that the server has not received. */
  readonly bufferedAmount: number;

  /**
   * Queues a message, at any time but after the end: text, binary (copied), or an object, which goes as JSON text such
   * as the envelope `{ type: "chat.message", room: "general", payload: {} }`. Gives its number, which `received` names
   * when the server has it.
   *
   * Throws a `DOMException`: `QuotaExceededError` when the queue is full or the message is longer than the server
   * takes (65 536 bytes unless it says otherwise), `InvalidStateError` after the end. Then nothing was queued.
   */
  send(message: string | ArrayBuffer | ArrayBufferView | object): number;

  /**
   * Ends the session on both sides; `close` follows at once. What was not `received` may be lost. `code` is 1000 or
   * 3000 to 4999, `reason` has at most 123 bytes.
   */
  close(code?: number, reason?: string): void;

  addEventListener<K extends keyof LosslessSocketEvents>(
    type: K,
    listener: (event: LosslessSocketEvents[K]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
}

export type Transport = "websocket" | "sse" | "poll";

export interface LosslessSocketOptions {
  /** Default: the directory of this script, so `/ws`. Relative addresses and `http:` are understood. */
  websocket?: string;
  /** Default: `session` beside this script, so `/ws/session`. */
  http?: string;
  /** What may be used, the best first. Default all three. */
  transports?: Transport[];
  /**
   * A key of `sessionStorage`. With it a reload goes on with the session: id, numbers and queue are stored when the
   * page is left and taken out when it is back, so a duplicated tab does not share them. The id is a secret, which
   * every script of the origin can read while it is stored. Default: none; leaving the page ends the session.
   */
  resume?: string;
  /** How long a transport may take to begin, in ms. Default 5000. */
  helloTimeout?: number;
  /** Time between pings on a WebSocket, in ms. Default 15000. */
  pingInterval?: number;
  /** Silence after a ping that ends a WebSocket, in ms. Default 10000. */
  pongTimeout?: number;
  /** Ceiling of the first delay, in ms. Default 500. */
  firstDelay?: number;
  /** Highest ceiling, in ms. Default 30000. */
  longestDelay?: number;
  /** Time until WebSocket is tried again, in ms; it doubles up to ten minutes. Default 30000. */
  upgradeAfter?: number;
  /** Messages that may wait to be received. Default 1024. */
  maxMessages?: number;
  /** Bytes of messages that may wait to be received. Default 1048576. */
  maxBytes?: number;
}

export interface LosslessSocketEvents {
  /**
   * A session is open: the first, one found after a reload (`resumed`), or a new one because the server ended or forgot
   * the former. `unsure` are the messages of the former session that were under way: the server may have handled them or
   * not, so the page decides whether to send them again. What had not gone out is sent in the new session by itself.
   */
  open: CustomEvent<{ resumed: boolean; unsure: (string | ArrayBuffer)[] }>;
  /** `data` is a string or an `ArrayBuffer`, `lastEventId` its number. It counts as handled when the listeners return. */
  message: MessageEvent<string | ArrayBuffer>;
  /** So many messages are lost, because the server could keep no more of them. */
  gap: CustomEvent<{ lost: number }>;
  /** The server has our messages up to this number. */
  received: CustomEvent<{ seq: number }>;
  /** `state` or `transport` has changed; `delay` is the time to the next attempt in ms. */
  state: CustomEvent<{ state: LosslessSocket["state"]; transport: "" | Transport; delay: number }>;
  /** A heartbeat, with the way there and back in ms. */
  latency: CustomEvent<{ latency: number }>;
  /**
   * The end: `close` was called, the server said goodbye or no (1000, a code of the application, 4000 + an HTTP
   * status), or another tab has taken the session over (4409).
   */
  close: CloseEvent;
}
