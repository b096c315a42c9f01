//! Asynchronous calls: accepted, sent when it is their turn, tried again, and called back.

pub mod callback;
pub mod fairness;
pub mod retry;
pub mod seam;
