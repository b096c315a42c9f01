// Numbers and times as people read them.

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

export function bytes(count) {
	let unit = 0;
	let left = count;
	while (left >= 1024 && unit < UNITS.length - 1) {
		left /= 1024;
		unit += 1;
	}
	return `${unit === 0 || left >= 100 ? Math.round(left) : left.toFixed(1)} ${UNITS[unit]}`;
}

/** A number in three digits or so. */
export function number(value) {
	if (value === undefined || value === null || Number.isNaN(value)) return '–';
	if (value === 0) return '0';
	const size = Math.abs(value);
	if (size >= 10_000) return `${Math.round(value / 1000)}k`;
	if (size >= 100) return String(Math.round(value));
	if (size >= 10) return String(Number(value.toFixed(1)));
	return String(Number(value.toFixed(2)));
}

export const rate = (value) => (value === undefined || value === null ? '–' : `${number(value)}/s`);

export const share = (part, whole) => (whole > 0 ? `${number((100 * part) / whole)} %` : '–');

export function millis(value) {
	if (value === undefined || value === null) return '–';
	return value >= 1000 ? `${number(value / 1000)} s` : `${number(value)} ms`;
}

/** A length of time, in its two largest units. */
export function span(seconds) {
	const all = Math.max(0, Math.round(seconds));
	const parts = [
		['d', 86_400],
		['h', 3600],
		['min', 60],
		['s', 1],
	];
	let left = all;
	const told = [];
	for (const [unit, size] of parts) {
		const count = Math.floor(left / size);
		left -= count * size;
		if (count > 0) told.push(`${count} ${unit}`);
		else if (told.length > 0) break;
		if (told.length === 2 || (unit === 'min' && count >= 10)) break;
	}
	return told.join(' ') || '0 s';
}

const two = (value) => String(value).padStart(2, '0');

export function clock(date) {
	return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** A moment: the day is said unless it is today. The whole of it, with its zone, belongs into a `title`. */
export function moment(text) {
	const date = new Date(text);
	if (Number.isNaN(date.getTime()) || date.getFullYear() < 1970) return '–';
	const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
	return date.toDateString() === new Date().toDateString() ? clock(date) : `${day} ${clock(date)}`;
}

/** How long ago, or how far ahead. */
export function away(text) {
	const seconds = (new Date(text).getTime() - Date.now()) / 1000;
	if (Number.isNaN(seconds)) return '–';
	return seconds > 0 ? `in ${span(seconds)}` : `${span(-seconds)} ago`;
}

export const many = (count, one, more = `${one}s`) => `${count} ${count === 1 ? one : more}`;
