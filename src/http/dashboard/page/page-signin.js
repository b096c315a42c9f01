// Sign-in. What was typed is sent once and forgotten; session.js holds what it is answered with.

import { busy, field, h, put } from './dom.js';
import { signIn } from './session.js';

/** `why` is said above the form; `entered` goes on to the page that was asked for. */
export function signInPage(why, entered) {
	const user = h('input', { name: 'user', value: 'admin', autocomplete: 'username', autocapitalize: 'none', spellcheck: 'false' });
	const secret = h('input', { name: 'secret', type: 'password', autocomplete: 'current-password', required: true });
	const stays = h('input', { type: 'checkbox', name: 'stays' });
	const wrong = h('p', { class: 'wrong', role: 'alert' });
	const press = h('button', { type: 'submit', class: 'main' }, 'Sign in');
	const form = h(
		'form',
		{ id: 'signin', submit, novalidate: true },
		why && h('p', null, why),
		field('User', user),
		field('Password or token', secret, 'A token begins with actord_; the user does not matter then.'),
		h('label', { class: 'check' }, stays, 'A screen that stays open: keep the token in this tab. It may read only.'),
		wrong,
		h('div', { class: 'actions' }, press),
		h(
			'details',
			null,
			h('summary', null, 'Where do I get these?'),
			h(
				'p',
				null,
				'The password of the user admin is in ',
				h('code', null, 'auth/basic-auth-password'),
				' of actord’s data directory:',
			),
			h('pre', null, 'sudo cat /var/lib/actord/auth/basic-auth-password'),
			h('p', null, 'It makes tokens that may do less, or end by themselves:'),
			h('pre', null, 'actord token create --read --namespace openfaas-fn'),
		),
	);

	async function submit(event) {
		event.preventDefault();
		const typed = secret.value.trim();
		if (!typed) {
			put(wrong, 'Type the password, or a token.');
			secret.focus();
			return;
		}
		put(wrong, '');
		await busy(press, async () => {
			try {
				await signIn(user.value.trim(), typed, stays.checked);
				secret.value = '';
				entered();
			} catch (error) {
				put(wrong, words(error));
				secret.select();
			}
		});
	}

	return { title: 'Sign in', element: form, begin: () => secret.focus() };
}

function words(error) {
	if (error.status === 0) return 'actord does not answer. It is asked again when you press the button.';
	if (error.status === 401) return `Not known here: ${error.message}.`;
	if (error.status === 429) return `${error.message}. Wait ${error.retryAfter ?? 10} s.`;
	return error.message;
}
