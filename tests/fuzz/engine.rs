//! Makes inputs of others: small changes, pieces of two, words of all seeds, numbers at their bounds. Pure, from a seed.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

/// The longest input: longer than the bounds of heads and names, shorter than what takes long.
const LONGEST: usize = 160 * 1024;

/// Inputs that are kept beside the seeds, as parents, and the longest of them: inputs would only ever grow.
const KEPT: usize = 256;
const KEPT_LONGEST: usize = 4 * 1024;

/// What is put in beside the words of the seeds: numbers at bounds, and bytes that readers part by.
const TOKENS: &[&str] = &[
    "0",
    "-1",
    "1",
    "63",
    "64",
    "65535",
    "65536",
    "2147483648",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e9",
    "1e999",
    "-0",
    "0.5",
    "NaN",
    "\0",
    "\r\n",
    "\r\n\r\n",
    "\n",
    "\n\n",
    "\t",
    " ",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "{",
    "}",
    "[",
    "]",
    "{}",
    "[]",
    ":",
    ",",
    ";",
    "=",
    "/",
    "//",
    "..",
    "../",
    "@",
    "%00",
    "%2e%2e",
    "#",
    "?",
    "&",
    "*",
    "&a",
    "*a",
    "!!str",
    "${",
    "}",
    "${TAG:-",
    "null",
    "true",
    "~",
    "\u{feff}",
    "\u{202e}",
    "ä",
    "😀",
    "\u{130}",
];
/// What is no UTF-8.
const BYTES: &[&[u8]] = &[b"\xff", b"\x80", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf0\x9f", &[0; 8], &[0xff; 8]];

/// A source of inputs.
pub(crate) struct Engine {
    random: StdRng,
    parents: Vec<Vec<u8>>,
    seeds: usize,
    words: Vec<Vec<u8>>,
}

impl Engine {
    /// From these seeds, of which there is at least one.
    pub(crate) fn new(seed: u64, seeds: &[Vec<u8>]) -> Self {
        let mut words: Vec<_> = seeds.iter().flat_map(|seed| words(seed)).collect();
        words.sort();
        words.dedup();
        words.extend(TOKENS.iter().map(|token| token.as_bytes().to_vec()));
        words.extend(BYTES.iter().map(|bytes| bytes.to_vec()));
        Self { random: StdRng::seed_from_u64(seed), parents: seeds.to_vec(), seeds: seeds.len(), words }
    }

    /// The next input.
    pub(crate) fn next_input(&mut self) -> Vec<u8> {
        let mut input = self.parents.choose(&mut self.random).cloned().unwrap_or_default();
        // Mostly a few changes: after many, nothing is taken any more.
        let changes = 1 + self.random.random_range(0..4_u32) * self.random.random_range(0..4_u32) / 2;
        for _ in 0..changes {
            self.change(&mut input);
        }
        input.truncate(LONGEST);
        input
    }

    /// Keeps an input as a parent, for one that was kept before if there are enough.
    pub(crate) fn keep(&mut self, input: Vec<u8>) {
        if input.len() > KEPT_LONGEST {
            return;
        }
        if self.parents.len() < self.seeds + KEPT {
            self.parents.push(input);
        } else {
            let at = self.random.random_range(self.seeds..self.parents.len());
            self.parents[at] = input;
        }
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let (from, to) = self.range(input.len());
        match self.random.random_range(0..11_u32) {
            0 if !input.is_empty() => {
                let at = self.random.random_range(0..input.len());
                input[at] ^= 1 << self.random.random_range(0..8_u32);
            }
            1 if !input.is_empty() => {
                let at = self.random.random_range(0..input.len());
                input[at] = self.random.random();
            }
            2 => drop(input.drain(from..to)),
            3 => {
                let part = input[from..to].to_vec();
                let times = *[1, 1, 2, 3, 16, 64, 257, 4096].choose(&mut self.random).unwrap();
                if part.len() * times + input.len() <= LONGEST {
                    input.splice(to..to, part.repeat(times));
                }
            }
            4 | 5 => {
                let word = self.words.choose(&mut self.random).cloned().unwrap_or_default();
                input.splice(from..from, word);
            }
            6 => {
                let word = self.words.choose(&mut self.random).cloned().unwrap_or_default();
                input.splice(from..to, word);
            }
            7 => self.splice(input),
            8 => self.change_number(input),
            9 => {
                let part = input[from..to].to_ascii_uppercase();
                input.splice(from..to, part);
            }
            _ => {
                let byte: u8 = self.random.random();
                input.insert(from, byte);
            }
        }
    }

    /// A range, mostly a short one.
    fn range(&mut self, length: usize) -> (usize, usize) {
        let from = self.random.random_range(0..=length);
        let most = if self.random.random_ratio(1, 8) { length } else { 16 };
        (from, (from + self.random.random_range(0..=most)).min(length))
    }

    /// Puts a piece of another parent in the place of a piece.
    fn splice(&mut self, input: &mut Vec<u8>) {
        let other = self.parents.choose(&mut self.random).cloned().unwrap_or_default();
        let (from, to) = self.range(input.len());
        let (other_from, other_to) = self.range(other.len());
        input.splice(from..to, other[other_from..other_to].iter().copied());
    }

    /// Puts another number in the place of one.
    fn change_number(&mut self, input: &mut Vec<u8>) {
        let begins: Vec<usize> = (0..input.len())
            .filter(|at| input[*at].is_ascii_digit() && (*at == 0 || !input[*at - 1].is_ascii_digit()))
            .collect();
        let Some(begin) = begins.choose(&mut self.random).copied() else { return };
        let end = begin + input[begin..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number: u128 = String::from_utf8_lossy(&input[begin..end]).parse().unwrap_or_default();
        let power = 1_u128 << self.random.random_range(0..70_u32);
        let others = [number.wrapping_add(1), number.saturating_sub(1), number.wrapping_mul(10), power, power - 1];
        let other = others.choose(&mut self.random).unwrap().to_string();
        input.splice(begin..end, other.into_bytes());
    }
}

/// The words of a seed: what stands between what readers part by.
fn words(seed: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') || byte >= 0x80;
    seed.split(move |byte| !inside(*byte)).filter(|word| (2..=64).contains(&word.len())).map(<[u8]>::to_vec)
}
