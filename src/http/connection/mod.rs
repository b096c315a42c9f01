//! Between a client's connection and the routes: what actix leaves to those who serve with it.

mod version;

pub(super) use version::fit_version;
