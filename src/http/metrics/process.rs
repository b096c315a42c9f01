//! What this process takes of the machine, under the names that every Prometheus client uses. Read at each scrape.

use std::fs;

use prometheus::{Counter, Gauge, IntGauge, Registry};

/// The kernel counts processor time for user space in hundredths of a second, whatever it does itself (USER_HZ).
const TICKS_PER_SECOND: f64 = 100.0;

/// The numbers of fields in `/proc/self/stat`, counted behind the name, which may hold anything.
const UTIME: usize = 11;
const STARTTIME: usize = 19;

#[derive(Debug, Clone)]
pub(super) struct Process {
    cpu_seconds: Counter,
    open_fds: IntGauge,
    max_fds: Gauge,
    virtual_bytes: Gauge,
    resident_bytes: Gauge,
    threads: IntGauge,
    start_time: Gauge,
}

impl Process {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let gauge = Gauge::new;
        Ok(Self {
            cpu_seconds: Counter::new(
                "process_cpu_seconds_total",
                "Processor time spent, user and system, in seconds",
            )?,
            open_fds: IntGauge::new("process_open_fds", "Open file descriptors")?,
            max_fds: gauge("process_max_fds", "The most file descriptors that may be open")?,
            virtual_bytes: gauge("process_virtual_memory_bytes", "Size of the address space in bytes")?,
            resident_bytes: gauge("process_resident_memory_bytes", "Memory in use in bytes")?,
            threads: IntGauge::new("process_threads", "Threads")?,
            start_time: gauge("process_start_time_seconds", "When the process began, in seconds since 1970")?,
        })
    }

    pub(super) fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.cpu_seconds.clone()))?;
        registry.register(Box::new(self.open_fds.clone()))?;
        registry.register(Box::new(self.threads.clone()))?;
        for gauge in [&self.max_fds, &self.virtual_bytes, &self.resident_bytes, &self.start_time] {
            registry.register(Box::new(gauge.clone()))?;
        }
        Ok(())
    }

    /// Reads them anew. What can't be read stays as it was.
    pub(super) fn refresh(&self) {
        let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
        let stat = read("/proc/self/stat");
        let fields: Vec<f64> = stat.rsplit_once(") ").map_or("", |(_, rest)| rest).split(' ').map(number).collect();
        if let (Some([user, system]), Some(started)) = (fields.get(UTIME..UTIME + 2), fields.get(STARTTIME)) {
            let seconds = (user + system) / TICKS_PER_SECOND;
            self.cpu_seconds.inc_by((seconds - self.cpu_seconds.get()).max(0.0));
            self.start_time.set(field(&read("/proc/stat"), "btime") + started / TICKS_PER_SECOND);
        }
        let status = read("/proc/self/status");
        self.virtual_bytes.set(field(&status, "VmSize:") * 1024.0);
        self.resident_bytes.set(field(&status, "VmRSS:") * 1024.0);
        #[allow(clippy::cast_possible_truncation, reason = "threads are few")]
        self.threads.set(field(&status, "Threads:") as i64);
        self.max_fds.set(field(&read("/proc/self/limits"), "Max open files"));
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            // One of them is the directory itself, open for this.
            self.open_fds.set(i64::try_from(open.count()).unwrap_or(i64::MAX).saturating_sub(1));
        }
    }
}

/// The first number of the line that begins so; 0 if there is none.
fn field(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()).map_or(0.0, number)
}

fn number(text: &str) -> f64 {
    text.parse().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_described_by_plausible_figures() {
        let process = Process::new().unwrap();
        process.refresh();
        assert!(process.open_fds.get() >= 3 && process.max_fds.get() >= 20.0);
        assert!(process.threads.get() >= 1);
        assert!(process.resident_bytes.get() > 1e6 && process.virtual_bytes.get() > process.resident_bytes.get());
        let age = jiff::Timestamp::now().as_second() as f64 - process.start_time.get();
        assert!((-2.0..3600.0).contains(&age), "{age}");
    }

    #[test]
    fn processor_time_is_counted_and_never_falls() {
        let process = Process::new().unwrap();
        let mut spent = 0u64;
        while process.cpu_seconds.get() < 0.05 {
            spent = (0..1_000_000u64).fold(spent, u64::wrapping_add);
            let before = process.cpu_seconds.get();
            process.refresh();
            assert!(process.cpu_seconds.get() >= before, "{spent}");
        }
    }
}
