//! Which log lines were shown already, when a stream is taken up again from the time of its last line.

/// The end of what was shown.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The time of the last line, as the gateway wrote it.
    last: Option<String>,
    /// The lines of that time, by instance and text: others may share it.
    at_last: Vec<(String, String)>,
    /// Those of them that the stream which was taken up may send once more.
    to_skip: Vec<(String, String)>,
    has_begun: bool,
    count: u64,
}

impl Seen {
    /// A stream begins, at the time of the last line if there was one.
    pub(super) fn resume(&mut self) {
        self.has_begun = true;
        self.to_skip = self.at_last.clone();
    }

    /// Whether this line was not shown before; it counts as shown from now on.
    pub(super) fn is_new(&mut self, time: &str, instance: &str, text: &str) -> bool {
        let line = (instance.to_owned(), text.to_owned());
        if self.last.as_deref() == Some(time) {
            if let Some(at) = self.to_skip.iter().position(|shown| *shown == line) {
                self.to_skip.swap_remove(at);
                return false;
            }
        } else {
            self.last = Some(time.to_owned());
            self.at_last.clear();
        }
        self.at_last.push(line);
        self.count += 1;
        true
    }

    /// The time to go on from.
    pub(super) fn last(&self) -> Option<&str> {
        self.last.as_deref()
    }

    /// How many lines were shown.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Whether a stream ever began.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_last_moment_are_shown_once_however_often_they_are_sent() {
        let mut seen = Seen::default();
        seen.resume();
        for (time, text) in [("1", "a"), ("2", "b"), ("2", "b"), ("2", "c")] {
            assert!(seen.is_new(time, "i", text), "within one stream nothing is doubled");
        }
        seen.resume();
        let again = [("2", "b"), ("2", "b"), ("2", "c"), ("2", "d"), ("2", "b"), ("3", "b")];
        let new: Vec<bool> = again.iter().map(|(time, text)| seen.is_new(time, "i", text)).collect();
        assert_eq!(new, [false, false, false, true, true, true]);
        assert_eq!((seen.last(), seen.count()), (Some("3"), 7));
        seen.resume();
        assert!(!seen.is_new("3", "i", "b") && seen.is_new("3", "other", "b"));
    }
}
