//! How short the memory of the machine is, as the kernel tells it.
//!
//! ```text
//! /proc/pressure/memory   some avg10=12.34 ...   how long processes waited for it (PSI; kernels may be built without)
//! /proc/meminfo           MemAvailable           where there is none of that: what is left
//! ```

use std::path::PathBuf;

use async_trait::async_trait;

use super::HostError;
use crate::function::Memory;

/// The memory of the machine.
#[async_trait]
pub trait MemoryGauge: Send + Sync {
    /// How short it is just now. Cheap.
    ///
    /// # Errors
    /// [`HostError::Failed`] when it can't be told.
    async fn memory(&self) -> Result<Memory, HostError>;
}

/// This machine's.
#[derive(Debug, Clone)]
pub struct LocalMemory {
    proc: PathBuf,
}

impl Default for LocalMemory {
    fn default() -> Self {
        Self { proc: "/proc".into() }
    }
}

#[async_trait]
impl MemoryGauge for LocalMemory {
    async fn memory(&self) -> Result<Memory, HostError> {
        // The kernel makes these up as they are read: there is no disk to wait for.
        let read = |name: &str| std::fs::read_to_string(self.proc.join(name));
        // A kernel that was told not to count has the file, and refuses to read it.
        if let Some(waited) = read("pressure/memory").ok().and_then(|text| waited(&text)) {
            return Ok(Memory::Waited(waited));
        }
        let left = read("meminfo").ok().and_then(|text| left(&text));
        left.map(Memory::Left).ok_or_else(|| {
            HostError::Failed("neither /proc/pressure/memory nor /proc/meminfo tells how short memory is".to_owned())
        })
    }
}

/// `some avg10=12.34 avg60=...` in hundredths of a percent.
pub(crate) fn waited(text: &str) -> Option<u32> {
    let some = text.lines().find_map(|line| line.strip_prefix("some "))?;
    let average = some.split_whitespace().find_map(|word| word.strip_prefix("avg10="))?;
    let (whole, part) = average.split_once('.')?;
    let part = if part.len() == 2 { part.parse::<u32>().ok()? } else { return None };
    whole.parse::<u32>().ok()?.checked_mul(100)?.checked_add(part)
}

/// What is left of all memory, in percent.
fn left(text: &str) -> Option<u8> {
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    };
    let (all, available) = (of("MemTotal:")?, of("MemAvailable:")?);
    u8::try_from(available.saturating_mul(100).checked_div(all)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_processes_waited_is_read_in_hundredths_of_a_percent() {
        let full = "full avg10=9.00 avg60=0.98 avg300=0.40 total=61531112\n";
        for (some, expected) in [
            ("some avg10=0.97 avg60=2.34 avg300=1.44 total=230301433\n", Some(97)),
            ("some avg10=100.00 avg60=2.34 avg300=1.44 total=1\n", Some(10_000)),
            ("some avg10=0.00\n", Some(0)),
            ("some avg10=1.5 avg60=2.34\n", None),
            ("some avg10=x.00\n", None),
            ("some\n", None),
            ("", None),
        ] {
            assert_eq!(waited(&format!("{some}{full}")), expected, "{some}");
        }
    }

    #[test]
    fn what_is_left_is_read_in_percent() {
        let text = "MemTotal:        8000000 kB\nMemFree:          100 kB\nMemAvailable:    1999999 kB\n";
        assert_eq!(left(text), Some(24));
        for text in ["", "MemTotal: 8 kB\n", "MemTotal: 0 kB\nMemAvailable: 0 kB\n", "MemTotal: 8\nMemAvailable: 8\n"] {
            assert_eq!(left(text), None, "{text}");
        }
    }

    #[tokio::test]
    async fn what_the_kernel_tells_of_waits_comes_first_then_what_is_left_and_else_it_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let memory = LocalMemory { proc: dir.path().to_owned() };
        memory.memory().await.unwrap_err();
        std::fs::write(dir.path().join("meminfo"), "MemTotal: 100 kB\nMemAvailable: 7 kB\n").unwrap();
        assert_eq!(memory.memory().await, Ok(Memory::Left(7)));
        std::fs::create_dir(dir.path().join("pressure")).unwrap();
        std::fs::write(dir.path().join("pressure/memory"), "some avg10=12.34 avg60=0.00\n").unwrap();
        assert_eq!(memory.memory().await, Ok(Memory::Waited(1234)));
        LocalMemory::default().memory().await.unwrap();
    }
}
