/** Times, counts and names in words. */

const TIME = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const SECONDS = new Intl.DateTimeFormat("en", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});
const DAY = new Intl.DateTimeFormat("en", { weekday: "long", day: "numeric", month: "long" });
const YEAR = new Intl.DateTimeFormat("en", { day: "numeric", month: "long", year: "numeric" });
const SHORT = new Intl.DateTimeFormat("en", { day: "numeric", month: "short" });

export const time = (timestamp) => TIME.format(new Date(timestamp));
export const timeWithSeconds = (date) => SECONDS.format(date);

/** "Today", "Yesterday", or the day. */
export function day(timestamp, now = new Date()) {
  const date = new Date(timestamp);
  const ago = Math.round((startOfDay(now) - startOfDay(date)) / 86_400_000);
  if (ago === 0) return "Today";
  if (ago === 1) return "Yesterday";
  return (date.getFullYear() === now.getFullYear() ? DAY : YEAR).format(date);
}

/** Whether both are on one day, here. */
export const isSameDay = (one, other) => startOfDay(new Date(one)) === startOfDay(new Date(other));

/** The time today, the date before. */
export function shortly(timestamp, now = new Date()) {
  const date = new Date(timestamp);
  return startOfDay(date) === startOfDay(now) ? TIME.format(date) : SHORT.format(date);
}

export const count = (number, one, many = `${one}s`) => `${number} ${number === 1 ? one : many}`;

/** "a", "a and b", "a, b and c" */
export function list(names) {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

/** One or two letters for a name. */
export function initials(name) {
  const words = name.split(/[\s._@-]+/).filter(Boolean);
  const letters = words.length > 1 ? [words[0], words.at(-1)].map((word) => [...word][0]) : [[...(words[0] ?? "?")][0]];
  return letters.join("").toUpperCase();
}

/** One of 8 colours, the same for the same name everywhere. */
export function hue(name) {
  let sum = 0;
  for (const character of name) sum = (sum * 31 + character.codePointAt(0)) % 9973;
  return `hue-${sum % 8}`;
}

function startOfDay(date) {
  return new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
}
