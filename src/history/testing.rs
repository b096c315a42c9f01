//! For tests of what shows the history.

use tokio::time::Instant;

use super::ring::{HOUR, Ring};
use super::{History, Past, Point};
use crate::routes::FunctionEntry;

impl History {
    /// Adds points to what is kept of a function, as if the last one had ended just now, and tells of that one.
    pub fn keep(&self, entry: &FunctionEntry, points: &[Point]) {
        let mut functions = self.kept.functions();
        functions.end = Some(Instant::now());
        let new = || Past { entry: entry.clone(), ring: Ring::default() };
        let past = functions.each.entry(entry.function().clone()).or_insert_with(new);
        points.iter().for_each(|point| past.ring.push(*point, HOUR));
        drop(functions);
        self.kept.tell(points.last().map(|point| (entry.function().clone(), *point)).into_iter().collect());
    }
}
