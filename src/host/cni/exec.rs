//! One program, run to its end: clean environment, bounded output, and a deadline that kills all it started.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::time::{Instant, timeout};

/// Where plugins and iptables look for programs. Fixed, so that actord behaves alike whatever starts it.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// More than any plugin answers, and more than iptables-save prints for some ten thousand instances.
const STDOUT_MAX: u64 = 16 << 20;
const STDERR_MAX: u64 = 64 << 10;
/// How long a killed process may take to be reaped before it is left to the runtime's own reaper.
const REAP: Duration = Duration::from_secs(5);

/// What a program did and said.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) status: ExitStatus,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
    /// It wrote more than is kept.
    pub(super) cut: bool,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum ExecError {
    #[error("can't be run: {0}")]
    Io(#[from] io::Error),
    #[error("no answer within {0:?}, killed")]
    Deadline(Duration),
}

/// Runs `program` with `input` on its stdin and nothing of our environment.
pub(super) async fn run(
    program: &Path,
    args: &[&str],
    env: &[(&str, &OsStr)],
    input: &[u8],
    deadline: Duration,
) -> Result<Output, ExecError> {
    let begun = Instant::now();
    let mut command = Command::new(program);
    command.args(args).env_clear().env("PATH", PATH).envs(env.iter().copied()).current_dir("/");
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    end_with_us(&mut command);
    let mut child = command.spawn()?;
    let mut group = Group(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // A program that ends without reading is judged by how it ended, not by this.
            let _ = stdin.write_all(input).await;
        }
        Ok::<_, io::Error>(())
    };
    let work = async { tokio::try_join!(write, read(stdout, STDOUT_MAX), read(stderr, STDERR_MAX), child.wait()) };
    let Ok(done) = timeout(deadline, work).await else {
        group.kill();
        let _ = timeout(REAP, child.wait()).await;
        return Err(ExecError::Deadline(deadline));
    };
    let ((), (stdout, cut), (stderr, _), status) = done?;
    group.0 = None;
    tracing::debug!(program = %program.display(), took = ?begun.elapsed(), %status, "ran");
    Ok(Output { status, stdout, stderr, cut })
}

/// Has the kernel kill the program when this process dies: one that went on by itself could still make what the next
/// actord has just removed. It does so when the thread that started it ends, and the runtime's threads last as long as
/// the process.
fn end_with_us(command: &mut Command) {
    let us = rustix::process::getpid();
    let ask = move || {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // It may have died before we asked.
        if rustix::process::getppid() == Some(us) { Ok(()) } else { Err(io::ErrorKind::NotConnected.into()) }
    };
    // SAFETY: between fork and exec it makes two system calls and touches no memory of others.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(ask);
    }
}

/// Reads to the end, keeping at most `max` bytes, so that a program that prints without end is neither believed nor
/// blocked before its deadline.
async fn read(pipe: Option<impl AsyncRead + Unpin>, max: u64) -> io::Result<(Vec<u8>, bool)> {
    let Some(mut pipe) = pipe else { return Ok((Vec::new(), false)) };
    let mut kept = Vec::new();
    (&mut pipe).take(max).read_to_end(&mut kept).await?;
    let more = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await?;
    Ok((kept, more > 0))
}

/// A process group that does not outlive this value, unless its program ended by itself.
struct Group(Option<Pid>);

impl Group {
    fn kill(&mut self) {
        if let Some(pid) = self.0.take() {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn sh(script: &str, deadline: Duration) -> Result<Output, ExecError> {
        run(Path::new("/bin/sh"), &["-c", script], &[("CNI_COMMAND", OsStr::new("ADD"))], b"input", deadline).await
    }

    #[tokio::test]
    async fn a_program_sees_its_own_variables_the_path_and_nothing_of_ours() {
        let output = sh("env | sort; cat", Duration::from_secs(10)).await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("CNI_COMMAND=ADD\n") && text.contains("PATH=/usr") && text.ends_with("input"), "{text}");
        assert!(!text.contains("HOME="), "{text}");
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_killed_at_its_deadline_with_all_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let pids = dir.path().join("pids");
        let script = format!("sleep 600 & echo $! $$ > {}; wait", pids.display());
        let error = sh(&script, Duration::from_millis(500)).await.unwrap_err();
        assert!(matches!(error, ExecError::Deadline(_)), "{error}");
        let text = std::fs::read_to_string(&pids).unwrap();
        assert_eq!(text.split_whitespace().count(), 2, "{text}");
        for pid in text.split_whitespace() {
            // The signal is sent; a busy machine takes its time to act on it.
            let gone = async {
                while runs(pid) {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            timeout(Duration::from_secs(30), gone).await.unwrap_or_else(|_| panic!("process {pid} is still there"));
        }
    }

    /// A killed orphan may stay a zombie where process 1 does not reap.
    fn runs(pid: &str) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(['R', 'S', 'D']))
    }

    #[tokio::test]
    async fn output_without_end_is_cut_and_said_so() {
        let output = sh("head -c 20000000 /dev/zero", Duration::from_secs(30)).await.unwrap();
        assert!(output.cut);
        assert_eq!(output.stdout.len() as u64, STDOUT_MAX);
    }

    #[tokio::test]
    async fn a_program_that_reads_nothing_is_judged_by_its_status() {
        let input = vec![b'x'; 1 << 20];
        let output = run(Path::new("/bin/false"), &[], &[], &input, Duration::from_secs(10)).await.unwrap();
        assert!(!output.status.success());
    }
}
