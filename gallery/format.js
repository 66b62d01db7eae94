// Numbers, times and places as people read them. Pure.

const numbers = new Intl.NumberFormat();
const units = ["bytes", "kB", "MB", "GB", "TB"];

export function count(number, one, many = `${one}s`) {
  return `${numbers.format(number)} ${number === 1 ? one : many}`;
}

export function number(value) {
  return numbers.format(value);
}

/** A probability as a whole percentage; what is not certain is never called so. */
export function percent(score) {
  const whole = Math.round(score * 100);
  if (whole >= 100 && score < 1) return "99 %";
  if (whole === 0 && score > 0) return "< 1 %";
  return `${whole} %`;
}

export function bytes(size) {
  if (size === 1) return "1 byte";
  let unit = 0;
  while (size >= 999.5 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${unit && size < 9.95 ? size.toFixed(1) : Math.round(size)} ${units[unit]}`;
}

/** When a photo was taken. Without an offset the camera's own clock counts, wherever it was. */
export function taken(time) {
  const moment = new Date(/[zZ]|[+-]\d\d:\d\d$/.test(time) ? time.slice(0, 19) : time);
  if (Number.isNaN(moment.getTime())) return time;
  return moment.toLocaleString(undefined, { dateStyle: "long", timeStyle: "short" });
}

export function moment(time) {
  const at = new Date(time);
  return Number.isNaN(at.getTime()) ? time : at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

/** The heading for photos of that time: the nearer, the finer, and never one for each few. */
export function day(time, now = new Date()) {
  const at = new Date(time);
  if (Number.isNaN(at.getTime())) return "Some time";
  const midnight = new Date(now.getFullYear(), now.getMonth(), now.getDate());
  const days = Math.round((midnight - new Date(at.getFullYear(), at.getMonth(), at.getDate())) / 86_400_000);
  if (days <= 0) return "Today";
  if (days === 1) return "Yesterday";
  if (days < 7) return "Earlier this week";
  return at.toLocaleDateString(undefined, { month: "long", year: "numeric" });
}

/** What "after" and "before" say together: "2024", "since March 2024", … */
export function span(after, before) {
  if (after && before && isNextYear(after, before)) return after;
  if (after && before) return `${day10(after)} to ${day10(before)}`;
  return after ? `since ${day10(after)}` : `before ${day10(before)}`;
}

function isNextYear(after, before) {
  return /^\d{4}$/.test(after) && /^\d{4}$/.test(before) && Number(before) === Number(after) + 1;
}

function day10(time) {
  const [year, month, date] = time.split("-").map(Number);
  if (!month) return String(year);
  const at = new Date(year, month - 1, date || 1);
  return at.toLocaleDateString(undefined, { year: "numeric", month: "short", ...(date ? { day: "numeric" } : {}) });
}

export function place({ lat, lon }) {
  const part = (degrees, positive, negative) => `${Math.abs(degrees).toFixed(4)}° ${degrees < 0 ? negative : positive}`;
  return `${part(lat, "N", "S")}, ${part(lon, "E", "W")}`;
}

export function map({ lat, lon }) {
  const at = `${Number(lat).toFixed(5)}/${Number(lon).toFixed(5)}`;
  return `https://www.openstreetmap.org/?mlat=${Number(lat)}&mlon=${Number(lon)}#map=14/${at}`;
}

/** A score and a word for what made them belong together, as the catalog says it. */
export function why(match) {
  const { term, tag, how } = match;
  if (how === "name" || term === tag) return "";
  if (how === "alias") return `“${term}” is another word for ${tag}`;
  if (how === "below") return `the nearest there is a tag for is ${tag}`;
  if (how === "spelling") return `“${term}” was taken for ${match.said || tag}`;
  if (how === "related") return `${tag} is about the same as “${term}”`;
  return `“${term}” is a word in ${tag}`;
}
