// What a browser keeps for this page. One that keeps nothing loses the colours, and the sign-in at a reload; all else works.

/** Keeps a text for this browser, or (`tab`) for this tab alone; null: forgets it. */
export function keep(key, text, area = () => localStorage) {
	try {
		if (text === null) area().removeItem(key);
		else area().setItem(key, text);
	} catch {
		// The browser does not allow it.
	}
}

export function kept(key, area = () => localStorage) {
	try {
		return area().getItem(key);
	} catch {
		return null;
	}
}

export const tab = () => sessionStorage;
