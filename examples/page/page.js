// What all pages of the examples do: one conversation, and above right what carries it.

import { LosslessSocket } from "/ws/client.js";

export const part = (id) => document.getElementById(id);

export function element(tag, text = "", className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = className;
  return made;
}

// `heard` has a function for each type of message, `isWanted` looks at its room. ?transports=poll shows it without WebSocket.
export function converse(heard, isWanted = () => true) {
  const transports = new URLSearchParams(location.search).get("transports")?.split(",");
  const socket = new LosslessSocket(transports ? { transports } : {});
  socket.addEventListener("message", ({ data }) => {
    const { type, room, payload } = JSON.parse(data);
    if (isWanted(room)) heard[type]?.(payload);
  });
  const show = () => {
    const carried = socket.state === "open" ? socket.transport : socket.state;
    const latency = Number.isFinite(socket.latency) ? `, ${socket.latency.toFixed(0)} ms` : "";
    part("state").textContent = carried + latency;
    part("state").className = socket.state;
  };
  socket.addEventListener("state", show);
  socket.addEventListener("latency", show);
  return socket;
}
