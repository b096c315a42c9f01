// Which page is open: `#/function/NAMESPACE/NAME/logs`. A page is a function that builds its element; it ends with the
// signal that it was given. Each page sets the title and puts the focus on its heading, as a loaded document would.

import { h, replace } from './dom.js';

const pages = [];
let open = new AbortController();

/** Adds a page. In a pattern `:name` is any one part; what comes after `?` in the address is `query`. */
export function page(pattern, build) {
	pages.push([pattern.split('/'), build]);
}

function route(hash = location.hash) {
	const [path, query] = hash.replace(/^#/, '').split('?');
	const parts = path.split('/');
	for (const [pattern, build] of pages) {
		if (pattern.length !== parts.length) continue;
		const params = {};
		const fits = pattern.every((wanted, at) => {
			if (!wanted.startsWith(':')) return wanted === parts[at];
			params[wanted.slice(1)] = text(parts[at]);
			return parts[at] !== '';
		});
		if (fits) return { build, params, query: new URLSearchParams(query) };
	}
	return null;
}

/** A part of an address as it was meant; one that can't be read is taken as it is. */
function text(part) {
	try {
		return decodeURIComponent(part);
	} catch {
		return part;
	}
}

/** An address of a page. */
export const to = (...parts) => `#/${parts.map(encodeURIComponent).join('/')}`;

/** Opens the page of the address. */
export function show(main) {
	const found = route();
	if (!found) {
		location.replace('#/functions');
		return;
	}
	open.abort();
	open = new AbortController();
	const { signal } = open;
	const built = found.build({ params: found.params, query: found.query, signal });
	document.title = `${built.title} · actord`;
	const heading = h('h1', { tabindex: '-1' }, built.heading ?? built.title);
	replace(main, h('div', { class: 'head' }, heading, built.beside), built.element);
	scrollTo(0, 0);
	heading.focus({ preventScroll: true });
	built.begin?.();
}

/** Closes what is open: nothing of it goes on. */
export const close = () => open.abort();
