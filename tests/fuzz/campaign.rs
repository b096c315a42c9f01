//! One target, tried: what was found before, the seeds, and then inputs that are made of them.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use actord::fuzz_targets::TARGETS;
use tokio::time::{Duration, Instant};

use crate::corpus;
use crate::engine::Engine;
use crate::failure::{attempt, minimise};

/// The seed of the short form: a run is the same everywhere.
const SEED: u64 = 11;

/// How many attempts a failing input is made smaller by.
const ATTEMPTS: usize = 20_000;

/// How long a target is tried in the long form, if nothing else is said: three hours for all of them.
const LONG: Duration = Duration::from_secs(600);
const PROGRESS: Duration = Duration::from_secs(60);

/// How far inputs are made.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Length {
    Inputs(u64),
    Time(Duration),
}

/// What came of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tried {
    pub(crate) inputs: u64,
    pub(crate) taken: u64,
}

/// Tries a target. Of what it fails by, the smallest form is kept in `found/`.
pub(crate) fn run(name: &str, inputs: u64) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let mut seeds = corpus::read("found", name);
    seeds.extend(corpus::read("seeds", name));
    // Seeds and found inputs first, each by its name: a test of its own.
    for (file, input) in &seeds {
        if let Err(failure) = attempt(target.run, input) {
            panic!("{name}: {file} fails: {} at {}", failure.message, failure.place);
        }
    }
    let (seed, length) = match std::env::var_os("ACTORD_SOAK") {
        None => (SEED, Length::Inputs(inputs)),
        Some(_) => (number("SEED").unwrap_or_else(rand::random), Length::Time(long())),
    };
    let inputs: Vec<Vec<u8>> = seeds.into_iter().map(|(_, input)| input).collect();
    let (last, begun) = (Last::open(name, length), Instant::now());
    let tried = match attack(target.run, &inputs, seed, length, &last) {
        Ok(tried) => tried,
        Err((input, failure)) => {
            let least = minimise(target.run, &input, &failure.place, ATTEMPTS);
            let path = corpus::keep(name, &least);
            let shown = String::from_utf8_lossy(&least[..least.len().min(1_000)]).into_owned();
            let path = path.display();
            panic!("{name}, SEED={seed}: {} at {}\n{shown:?}\nkept in {path}", failure.message, failure.place);
        }
    };
    let Tried { inputs, taken } = tried;
    println!("{name}: {inputs} inputs, {taken} of them taken, in {:?}, SEED={seed}", begun.elapsed());
    // Where all are refused at the door, nothing behind it is tried; where none is, nothing says no.
    assert!(tried.taken * 200 >= tried.inputs, "{name}: almost all inputs are refused: {tried:?}");
    assert!(tried.taken < tried.inputs, "{name}: no input is refused: {tried:?}");
    last.close();
}

/// Tries inputs until one fails.
pub(crate) fn attack(
    run: fn(&[u8]) -> bool,
    seeds: &[Vec<u8>],
    seed: u64,
    length: Length,
    last: &Last,
) -> Result<Tried, (Vec<u8>, crate::failure::Failure)> {
    let mut engine = Engine::new(seed, seeds);
    let (mut tried, begun) = (Tried::default(), Instant::now());
    let mut told = begun;
    loop {
        match length {
            Length::Inputs(most) if tried.inputs >= most => return Ok(tried),
            Length::Time(most) if tried.inputs.is_multiple_of(64) => {
                if begun.elapsed() >= most {
                    return Ok(tried);
                }
                if told.elapsed() >= PROGRESS {
                    told = Instant::now();
                    println!("{}: {:?} after {:?}", last.name, tried, begun.elapsed());
                }
            }
            _ => {}
        }
        let input = engine.next_input();
        last.note(&input);
        tried.inputs += 1;
        match attempt(run, &input) {
            // What is taken is a better parent than what is not: it leads behind the door.
            Ok(true) => {
                tried.taken += 1;
                engine.keep(input);
            }
            Ok(false) => {}
            Err(failure) => return Err((input, failure)),
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text}: expected a number")))
}

fn long() -> Duration {
    number("FUZZ_SECONDS").map_or(LONG, Duration::from_secs)
}

/// The input that is being tried, in a file, for what ends the process itself: a stack or a memory that is used up.
pub(crate) struct Last {
    name: String,
    file: Option<(File, PathBuf)>,
}

impl Last {
    /// Of the long form alone.
    fn open(name: &str, length: Length) -> Self {
        let file = matches!(length, Length::Time(_)).then(|| {
            let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz");
            fs::create_dir_all(&directory).unwrap();
            let path = directory.join(name);
            println!("{name}: should the process end in the middle, {} is the input", path.display());
            (File::create(&path).unwrap(), path)
        });
        Self { name: name.to_owned(), file }
    }

    /// Notes nothing.
    pub(crate) fn none() -> Self {
        Self { name: String::new(), file: None }
    }

    fn note(&self, input: &[u8]) {
        if let Some((file, _)) = &self.file {
            file.set_len(0).and_then(|()| file.write_all_at(input, 0)).unwrap();
        }
    }

    fn close(self) {
        if let Some((_, path)) = self.file {
            fs::remove_file(path).unwrap();
        }
    }
}
