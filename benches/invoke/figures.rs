//! The figures of the comparison, by name.

use std::time::Duration;

use super::asking::Target;
use super::processes::{FUNCTIONS, Listening};

const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(1);

/// What is asked, and how.
pub(crate) struct Shape {
    name: &'static str,
    connections: usize,
    functions: usize,
    /// Bytes of the request's body and of the answer's.
    bodies: (usize, usize),
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// As fast as it is answered.
    Hurry,
    /// So many a second.
    Pace(u32),
    /// Once, and how memory goes meanwhile.
    Once,
}

impl Shape {
    /// All that are measured.
    pub(crate) const ALL: &[Self] = &[
        Self::new("get-1", 1, 1, (0, 2), Kind::Hurry),
        Self::new("get-16", 16, 1, (0, 2), Kind::Hurry),
        Self::new("get-16-of-500", 16, FUNCTIONS, (0, 2), Kind::Hurry),
        Self::new("get-256", 256, 1, (0, 2), Kind::Hurry),
        Self::new("post-1k-16", 16, 1, (1 << 10, 2), Kind::Hurry),
        Self::new("get-1m-4", 4, 1, (0, 1 << 20), Kind::Hurry),
        Self::new("post-1m-4", 4, 1, (1 << 20, 2), Kind::Hurry),
        Self::new("pace-1", 1, 1, (0, 2), Kind::Pace(1_000)),
        Self::new("pace-16", 16, 1, (0, 2), Kind::Pace(2_000)),
        Self::new("pace-16-of-500", 16, FUNCTIONS, (0, 2), Kind::Pace(2_000)),
        Self::new("get-1g", 1, 1, (0, 1 << 30), Kind::Once),
        Self::new("post-1g", 1, 1, (1 << 30, 2), Kind::Once),
    ];

    const fn new(name: &'static str, connections: usize, functions: usize, bodies: (usize, usize), kind: Kind) -> Self {
        Self { name, connections, functions, bodies, kind }
    }

    /// Whether a word means it: its name, or the beginning of that.
    pub(crate) fn is(&self, word: &str) -> bool {
        self.name.starts_with(word)
    }

    fn target(&self, listening: &Listening, is_proxy: bool) -> Target {
        let (sent, wanted) = self.bodies;
        let path = |number| match is_proxy {
            true => format!("/function/echo{number}/{wanted}"),
            false => format!("/{wanted}"),
        };
        let paths: Vec<String> = (0..if is_proxy { self.functions } else { 1 }).map(path).collect();
        Target::new(listening.address, &paths, sent)
    }
}

/// The processes side by side.
pub(crate) struct Comparison {
    backend: Listening,
    nginx: Option<Listening>,
    actord: Listening,
}

/// What one round says of one of them.
struct Round {
    rate: f64,
    median: f64,
    slow: f64,
    cpu: f64,
}

impl Comparison {
    pub(crate) fn new() -> Self {
        let backend = Listening::backend();
        let (nginx, actord) = (Listening::nginx(backend.address), Listening::proxy(backend.address));
        Self { backend, nginx, actord }
    }

    fn ways(&self) -> Vec<(&'static str, &Listening)> {
        let nginx = self.nginx.as_ref().map(|nginx| ("nginx", nginx));
        [("direct", &self.backend)].into_iter().chain(nginx).chain([("actord", &self.actord)]).collect()
    }

    /// The figures of one shape: `SHAPE WAY FIGURE` and the value, medians of the rounds.
    pub(crate) fn measure(&self, shape: &Shape) -> Vec<(String, f64)> {
        let mut figures = Vec::new();
        let mut tell = |way: &str, figure: &str, value: f64| {
            figures.push((format!("{} {way} {figure}", shape.name), value));
        };
        let ways = self.ways();
        if shape.kind == Kind::Once {
            for (way, listening) in ways {
                let before = listening.resident();
                let (highest, cpu) = once(listening, &shape.target(listening, way != "direct"));
                tell(way, "rss before MB", before);
                tell(way, "rss highest MB", highest);
                tell(way, "cpu ms/GiB", cpu / 1e3);
            }
            return figures;
        }
        let mut rounds: Vec<Vec<Round>> = ways.iter().map(|_| Vec::new()).collect();
        for _ in 0..ROUNDS {
            for ((way, listening), rounds) in ways.iter().zip(&mut rounds) {
                rounds.push(round(shape, listening, &shape.target(listening, *way != "direct")));
            }
        }
        for ((way, _), rounds) in ways.iter().zip(&rounds) {
            tell(way, "requests/s", median(rounds.iter().map(|round| round.rate)));
            tell(way, "median us", median(rounds.iter().map(|round| round.median)));
            tell(way, "p99 us", median(rounds.iter().map(|round| round.slow)));
            tell(way, "cpu us/request", median(rounds.iter().map(|round| round.cpu)));
        }
        figures
    }
}

fn round(shape: &Shape, listening: &Listening, target: &Target) -> Round {
    let before = listening.cpu();
    let (rate, times) = match shape.kind {
        Kind::Pace(rate) => {
            let connections = u32::try_from(shape.connections).unwrap();
            (f64::from(rate), target.pace(connections, f64::from(rate), ROUND))
        }
        _ => target.hurry(shape.connections, ROUND),
    };
    let cpu = (listening.cpu() - before) / times.len() as f64;
    let mut times: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1e6).collect();
    times.sort_by(f64::total_cmp);
    Round { rate, median: times[times.len() / 2], slow: times[times.len() * 99 / 100], cpu }
}

/// One exchange; the most that the process had in memory meanwhile, in MB, and its processor time, in µs.
fn once(listening: &Listening, target: &Target) -> (f64, f64) {
    let before = listening.cpu();
    let highest = std::thread::scope(|scope| {
        let asking = scope.spawn(|| target.hurry(1, Duration::from_millis(1)));
        let mut highest = listening.resident();
        while !asking.is_finished() {
            std::thread::sleep(Duration::from_millis(5));
            highest = highest.max(listening.resident());
        }
        highest
    });
    (highest, listening.cpu() - before)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
