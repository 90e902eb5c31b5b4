"use strict";
// Shows openapi.json. Every text of the document goes in as text, never as markup.
const METHODS = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

function make(tag, text, ...children) {
  const element = document.createElement(tag);
  if (text !== undefined && text !== null) element.textContent = text;
  element.append(...children);
  return element;
}

const pretty = (value) => JSON.stringify(value, null, 2);

function resolved(api, value) {
  if (!value || !value.$ref) return value || {};
  const steps = value.$ref.replace(/^#\//, "").split("/");
  return steps.reduce((part, step) => (part || {})[step.replace(/~1/g, "/").replace(/~0/g, "~")], api) || {};
}

function contents(api, body) {
  return Object.entries(body.content || {}).flatMap(([type, media]) => [
    make("div", type),
    make("pre", pretty(media.example === undefined ? resolved(api, media.schema) : media.example)),
  ]);
}

function parameterRow(parameter) {
  const input = make("input");
  input.setAttribute("aria-label", parameter.name);
  input.placeholder = (parameter.schema && parameter.schema.type) || "value";
  const name = make("td", `${parameter.name}${parameter.required ? " *" : ""} (${parameter.in})`);
  const row = make("tr", null, name, make("td", parameter.description), make("td", null, input));
  return { row, parameter, input };
}

function target(path, fields) {
  let url = path;
  const query = new URLSearchParams();
  for (const { parameter, input } of fields) {
    if (parameter.in === "path") url = url.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    if (parameter.in === "query" && input.value !== "") query.append(parameter.name, input.value);
  }
  // Relative, so that it works below a proxy's prefix.
  return "." + url + (query.size ? `?${query}` : "");
}

async function send(method, path, fields, body, output) {
  const headers = {};
  for (const { parameter, input } of fields) {
    if (parameter.in === "header" && input.value !== "") headers[parameter.name] = input.value;
  }
  if (body && body.value !== "") headers["content-type"] = "application/json";
  output.textContent = "…";
  try {
    const init = { method: method.toUpperCase(), headers, body: (body && body.value) || undefined };
    const answer = await fetch(target(path, fields), init);
    output.textContent = `${answer.status} ${answer.statusText}\n\n${await answer.text()}`;
  } catch (error) {
    output.textContent = String(error);
  }
}

function operation(api, path, method, described) {
  const box = make("details");
  box.append(make("summary", null, make("b", method), make("code", path), make("span", described.summary)));
  if (described.description) box.append(make("p", described.description));
  const fields = (described.parameters || []).map((parameter) => parameterRow(resolved(api, parameter)));
  if (fields.length) {
    box.append(make("h3", "Parameters"), make("table", null, ...fields.map((field) => field.row)));
  }
  let body = null;
  if (described.requestBody) {
    body = make("textarea");
    body.setAttribute("aria-label", "request body");
    box.append(make("h3", "Request body"), ...contents(api, resolved(api, described.requestBody)), body);
  }
  box.append(make("h3", "Responses"));
  for (const [status, response] of Object.entries(described.responses || {})) {
    const answer = resolved(api, response);
    box.append(make("div", `${status}: ${answer.description || ""}`), ...contents(api, answer));
  }
  const button = make("button", "Send");
  const output = make("pre", "");
  button.addEventListener("click", () => send(method, path, fields, body, output));
  box.append(button, output);
  return box;
}

async function show() {
  const place = document.getElementById("operations");
  try {
    const api = await (await fetch("openapi.json")).json();
    document.title = api.info.title;
    document.getElementById("title").textContent = `${api.info.title} ${api.info.version}`;
    document.getElementById("about").textContent = api.info.description || "";
    place.replaceChildren();
    for (const [path, item] of Object.entries(api.paths)) {
      for (const method of METHODS.filter((method) => item[method])) {
        place.append(operation(api, path, method, item[method]));
      }
    }
  } catch (error) {
    place.textContent = `openapi.json cannot be shown: ${error}`;
  }
}

show();
