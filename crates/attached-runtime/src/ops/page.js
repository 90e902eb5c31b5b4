"use strict";
// Shows /_ops/state.json, once a second. Every text goes in as text, never as markup.
const part = (id) => document.getElementById(id);
const KEPT = 120;
const samples = [];
let ended = false;

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const sum = (values) => Object.values(values).reduce((total, value) => total + value, 0);

function rate(value) {
  return value < 10 ? value.toFixed(1) : value < 10_000 ? whole.format(value) : short.format(value);
}

function millis(value) {
  if (value === null || value === undefined) return "–";
  return value < 1 ? `${(value * 1000).toFixed(0)} µs` : value < 1000 ? `${value.toFixed(value < 10 ? 1 : 0)} ms` : `${(value / 1000).toFixed(1)} s`;
}

function bytes(value) {
  const unit = value < 1024 ? 0 : value < 1024 ** 2 ? 1 : value < 1024 ** 3 ? 2 : 3;
  return `${(value / 1024 ** unit).toFixed(unit ? 1 : 0)} ${["B", "KiB", "MiB", "GiB"][unit]}`;
}

function span(seconds) {
  const [days, hours, minutes] = [86400, 3600, 60].map((unit) => Math.floor(seconds / unit));
  if (days) return `${days} d ${hours % 24} h`;
  if (hours) return `${hours} h ${minutes % 60} min`;
  return minutes ? `${minutes} min ${Math.floor(seconds % 60)} s` : `${seconds.toFixed(0)} s`;
}

function make(tag, text, ...children) {
  const element = document.createElement(tag);
  if (text !== null && text !== undefined) element.textContent = text;
  element.append(...children);
  return element;
}

function bar(share) {
  const made = make("progress");
  made.max = 1;
  made.value = share;
  return made;
}

function table(id, heads, rows) {
  const line = (tag, cells) => make("tr", null, ...cells.map((cell) => (cell instanceof Node ? make(tag, null, cell) : make(tag, cell))));
  if (rows.length === 0) {
    const none = make("td", "none");
    none.className = "none";
    part(id).replaceChildren(make("tr", null, none));
  } else {
    part(id).replaceChildren(line("th", heads), ...rows.map((row) => line("td", row)));
  }
}

function number(id, value, unit, second) {
  part(id).replaceChildren(value, make("small", unit));
  if (second) {
    const more = make("small", second);
    more.classList.add("key", "second");
    part(id).append(more);
  }
}

/// One or two lines over the time that is remembered, from 0 to the highest.
function chart(id, ...lines) {
  const top = Math.max(...lines.flat().filter(Number.isFinite), 1e-9);
  const svg = part(id);
  svg.setAttribute("viewBox", "0 0 100 32");
  svg.setAttribute("preserveAspectRatio", "none");
  const paths = lines.flatMap((values, which) => {
    const points = values
      .map((value, at) => [100 - ((values.length - 1 - at) / (KEPT - 1)) * 100, 31 - (value / top) * 30])
      .filter(([, y]) => Number.isFinite(y));
    if (points.length < 2) return [];
    const way = points.map(([x, y]) => `${x.toFixed(2)},${y.toFixed(2)}`).join("L");
    const closed = `M${points[0][0].toFixed(2)},32L${way}L${points.at(-1)[0].toFixed(2)},32Z`;
    return [[closed, "area"], [`M${way}`, "line"]].map(([drawn, kind]) => {
      const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
      path.setAttribute("d", drawn);
      path.setAttribute("class", `${kind}${which ? " second" : ""}`);
      return path;
    });
  });
  svg.replaceChildren(...paths);
}

/// A quantile of what was counted between two states.
function quantile(now, before, share) {
  const old = new Map(before.buckets);
  const count = now.count - before.count;
  if (count <= 0) return NaN;
  let [low, below] = [0, 0];
  for (const [bound, total] of now.buckets) {
    const upTo = total - (old.get(bound) ?? 0);
    if (upTo >= share * count && upTo > below) {
      return (low + ((bound - low) * (share * count - below)) / (upTo - below)) * 1000;
    }
    [low, below] = [bound, upTo];
  }
  return low * 1000;
}

function remember(state) {
  const before = samples.at(-1);
  const now = { at: performance.now(), state };
  if (before) {
    const seconds = (now.at - before.at) / 1000;
    const per = (value) => (value(state) - value(before.state)) / seconds;
    now.requests = per(({ http }) => sum(http.requests));
    now.received = per(({ messages }) => messages.received);
    now.written = per(({ messages }) => messages.written);
    // Over the last few seconds, or single requests would make it jump.
    const earlier = samples[Math.max(0, samples.length - 10)].state.http.times;
    now.p50 = quantile(state.http.times, earlier, 0.5);
    now.p99 = quantile(state.http.times, earlier, 0.99);
  }
  samples.push(now);
  // One more than is drawn: the first has no rates.
  if (samples.length > KEPT + 1) samples.shift();
}

function showRates() {
  const last = samples.at(-1);
  if (last.requests === undefined) return;
  const of = (name) => samples.slice(1).map((each) => each[name]);
  number("requests", rate(last.requests), "a second");
  chart("requests-chart", of("requests"));
  number("times", Number.isFinite(last.p50) ? millis(last.p50) : "–", "median", Number.isFinite(last.p99) ? `${millis(last.p99)} p99` : "");
  chart("times-chart", of("p50"), of("p99"));
  number("messages", rate(last.written), "out a second", `${rate(last.received)} in`);
  chart("messages-chart", of("written"), of("received"));
  number("sessions", whole.format(last.state.sessions.open), "open");
  chart("sessions-chart", samples.slice(1).map(({ state }) => state.sessions.open));
}

function counted(values) {
  const rows = Object.entries(values).filter(([, count]) => count > 0);
  const top = Math.max(...rows.map(([, count]) => count));
  return rows.map(([name, count]) => [name, bar(count / top), whole.format(count)]);
}

function showTables({ http, sessions, messages, rooms, backlogs, ping, fan_out: fanOut, closes, failures }) {
  const routes = http.routes.map(({ route, times }) => [route, short.format(times.count), millis(times.mean_ms), millis(times.p50_ms), millis(times.p99_ms)]);
  table("routes", ["route", "answers", "mean", "median", "p99"], routes);
  const largest = rooms.largest ?? [];
  const rows = largest.map(({ name, members }) => [name, bar(members / largest[0].members), whole.format(members)]);
  table("rooms", [rooms.largest ? `${whole.format(rooms.open)} in all` : "nobody has time to count", "", "members"], rows);
  table("backlogs", ["session", "over", "messages", "bytes", "oldest"], backlogs.map((each) => [each.session, each.transport, whole.format(each.messages), bytes(each.bytes), span(each.oldest_seconds)]));
  table("statuses", ["class", "", "answers"], counted(http.requests));
  table("closes", ["by", "", "sessions"], counted(closes));
  table("failures", ["reason", "", "sessions"], counted(failures));
  table("facts", ["", ""], [
    ["Sessions opened", whole.format(sessions.opened)],
    ["Polls and streams waiting", whole.format(sessions.polls_waiting + sessions.streams)],
    ["Messages dropped by a policy", whole.format(messages.dropped)],
    ["Messages undelivered at an end", whole.format(messages.undelivered)],
    ["Bytes in / out", `${bytes(messages.bytes_received)} / ${bytes(messages.bytes_written)}`],
    ["Round trip of a ping, median / p99", `${millis(ping.p50_ms)} / ${millis(ping.p99_ms)}`],
    ["Fan-out: first / median / last", ["first", "median", "last"].map((one) => millis(fanOut[one].p50_ms)).join(" / ")],
    ["Panics caught", whole.format(http.panics + sessions.panics)],
  ]);
}

function showEnd({ drain }) {
  part("progress").hidden = !drain;
  if (!drain) return;
  const [began, left] = [sum(drain.began_with), sum(drain.left)];
  part("progress").querySelector("progress").value = began ? Math.max(0, 1 - left / began) : 1;
  const { requests, polls, sessions } = drain.left;
  part("left").textContent = `${whole.format(requests)} requests, ${whole.format(polls)} polls and streams, ${whole.format(sessions)} sessions are open; `
    + `${span(drain.seconds)} of at most ${span(drain.limit_seconds)}`;
}

function showPhase(name, said) {
  part("phase").textContent = name;
  part("phase").className = name;
  part("uptime").textContent = said;
  part("drain").disabled = name !== "serving";
}

async function look() {
  const answer = await fetch("/_ops/state.json").catch(() => null);
  if (answer && answer.status === 401) return location.reload();
  if (answer && answer.ok) {
    const state = await answer.json();
    remember(state);
    showPhase(state.phase, `up ${span(state.uptime_seconds)}`);
    showRates();
    showTables(state);
    showEnd(state);
    ended = Boolean(state.drain);
  } else if (!answer) {
    showPhase(ended ? "stopped" : "gone", "no answer");
    part("progress").hidden = !ended;
    if (ended) part("progress").querySelector("progress").value = 1;
  }
  // Closer while it ends, which is soon over.
  setTimeout(look, ended && answer ? 200 : 1000);
}

part("drain").addEventListener("click", async () => {
  if (!confirm("Drain and stop this process?")) return;
  part("drain").disabled = true;
  ended = true;
  await fetch("/_ops/drain", { method: "POST" }).catch(() => null);
});
look();
