//! Fires schedules as asynchronous calls.
