//! The parts of the table: each has its rows and measures them. Add one: a file, and its line in `ALL`.

mod change;

use crate::frame::Part;

/// In the order in which they are measured and told.
pub(crate) const ALL: &[Part] =
    &[Part { name: "change", rows: change::ROWS, run: |bench| Box::pin(change::run(bench)) }];
