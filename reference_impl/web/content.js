/** What is inside a message, made safe to show. What people write is text, and a link goes to the web or nowhere. */

import { el } from "./dom.js";

const LINK = /\bhttps?:\/\/[^\s<>"'`]+[^\s<>"'`.,;:!?)\]]/g;
const IMAGE = /^data:image\/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]+$/;
const SHOWN_CHARACTERS = 20_000;

/** The content of a message as elements. */
export function contentOf({ type, content }) {
  if (type === "media") return [media(content)];
  if (type === "structured") return [structured(content)];
  return [el("p.text", { dir: "auto" }, ...withLinks(String(content?.text ?? "")))];
}

/** One line that says what is in it. */
export function summaryOf({ type, content }) {
  if (type === "media") return `File: ${nameOf(content)}`;
  if (type === "structured") return "Structured data";
  return String(content?.text ?? "")
    .replace(/\s+/g, " ")
    .trim();
}

/** `url` if it leads to the web; null for anything else, such as `javascript:`. */
export function safeLink(url) {
  try {
    const { protocol, href } = new URL(url);
    return protocol === "http:" || protocol === "https:" ? href : null;
  } catch {
    return null;
  }
}

function withLinks(text) {
  const pieces = [];
  let end = 0;
  for (const { 0: url, index } of text.matchAll(LINK)) {
    const href = safeLink(url);
    if (href === null) continue;
    pieces.push(text.slice(end, index), link(href, url));
    end = index + url.length;
  }
  return [...pieces, text.slice(end)];
}

function link(href, text) {
  return el("a", { href, target: "_blank", rel: "noopener noreferrer" }, text);
}

function media(content) {
  const { url, mime_type: mimeType } = content;
  const name = nameOf(content);
  if (IMAGE.test(url)) return el("img.picture", { src: url, alt: name });
  const href = safeLink(url);
  return el(
    "p.file",
    {},
    href === null ? el("span.file-name", {}, name) : link(href, name),
    el(
      "span.hint",
      {},
      href === null ? `${mimeType} · an address that this page does not open` : `${mimeType} · ${new URL(href).host}`,
    ),
  );
}

function nameOf({ url, name, file_name: fileName, alt }) {
  const given = [name, fileName, alt].find((one) => typeof one === "string" && one.trim());
  if (given) return given;
  if (String(url).startsWith("data:")) return "a picture";
  return String(url).split(/[?#]/)[0].split("/").filter(Boolean).at(-1) ?? String(url);
}

function structured(content) {
  const text = JSON.stringify(content, null, 2);
  const shown = text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}\n…` : text;
  return el(
    "details.structured",
    { open: text.length < 400 },
    el("summary", {}, "Structured data"),
    el("pre", {}, shown),
  );
}
