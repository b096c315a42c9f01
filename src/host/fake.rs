//! The machine in memory, for tests.
