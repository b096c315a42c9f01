//! Whose fault it is that a task can't be made or started. runc and its shim say it in text only:
//!
//! ```text
//! OCI runtime create failed: runc create failed: unable to start container process: STAGE ... : ERRNO: unknown
//!                                                                                   |            |
//!                                what runc was about to do for the process: its command,     what the kernel said
//!                                its directory, its user, a mount into its image
//! ```
//! Some refusals come after runc has handed over to the process: it then ends at once, and its log is runc's last words.
//! Both together tell what the caller has to mend from what may heal by itself: a full disk, no memory, a lost shim.

use crate::host::HostError;
use crate::host::containerd::connection::Failure;

/// Where what runc says of the process itself begins: since 1.1, and before.
const OF_THE_PROCESS: [&str; 2] = ["unable to start container process: ", "starting container process caused: "];

/// What may stand between that and the stage.
const IN_BETWEEN: [&str; 2] = ["error during container init: ", "container init caused: "];

/// The longest text of runc's that is passed on. A path in it can be as long as an image wants.
const QUOTE_MAX: usize = 400;

const TOO_LITTLE_MEMORY: &str = "the memory limit is too low for the process to start at all: raise it";

/// What the kernel can say of a path, arguments or an image's files that no time will heal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Missing,
    Forbidden,
    /// A file where a directory has to be, or the other way round; links in a circle; too long a name.
    Shape,
    Format,
    TooLong,
    Invalid,
}

impl Fault {
    /// The fault in the last words of an error, as Go writes them.
    fn of(error: &str) -> Option<Self> {
        Some(match error.rsplit(": ").next()? {
            "no such file or directory" | "executable file not found in $PATH" => Self::Missing,
            "permission denied" | "operation not permitted" => Self::Forbidden,
            "not a directory"
            | "is a directory"
            | "file exists"
            | "too many levels of symbolic links"
            | "file name too long" => Self::Shape,
            "exec format error" => Self::Format,
            "argument list too long" => Self::TooLong,
            "invalid argument" => Self::Invalid,
            _ => return None,
        })
    }

    /// Why a command can't be executed.
    fn of_command(self) -> &'static str {
        match self {
            Self::Missing => "the image's command is not there: mend its entrypoint or command",
            Self::Forbidden => "the image's command may not be executed by the image's user, or is a directory",
            Self::Shape => "the path of the image's command leads to no file: mend its entrypoint or command",
            Self::Format => "the image's command is not a program for this machine: check its platform",
            Self::TooLong => "arguments and environment are too long: shorten them, or put them into a file",
            Self::Invalid => "the image's command is not a path: mend its entrypoint or command",
        }
    }
}

/// What a failed create or start of a task means.
pub(super) fn start_error(failure: Failure) -> HostError {
    match callers_fault(failure.status.message()) {
        Some(sentence) => HostError::Spec(sentence),
        None => failure.of_making(),
    }
}

/// The error of a function whose memory limit is less than runc itself needs to start a process.
pub(super) fn too_little_memory() -> HostError {
    HostError::Spec(TOO_LITTLE_MEMORY.to_owned())
}

/// What the caller has to mend, if it is theirs to mend.
fn callers_fault(message: &str) -> Option<String> {
    if message.contains("OOM-killed") || message.contains("unable to set memory limit") {
        return Some(TOO_LITTLE_MEMORY.to_owned());
    }
    let said = of_the_process(message)?;
    let fault = Fault::of(said);
    let sentence = if said.starts_with("exec: a null in arguments or environment") {
        "the image's arguments or variables have a null byte in them: mend its command, arguments and environment"
    } else if said.starts_with("exec: \"") || said.starts_with("exec /") {
        fault?.of_command()
    } else if said.starts_with("mkdir ") || said.starts_with("chdir to cwd") {
        fault.map(|_| "the image's working directory can't be made or entered: mend its WORKDIR")?
    } else if said.starts_with("error mounting ") || said.starts_with("mounting ") {
        // What is missing or forbidden there may be the host's side of the mount.
        let misplaced = matches!(fault, Some(Fault::Shape))
            || said.ends_with("must be mounted on ordinary directory")
            || said.ends_with("cannot be mounted because it is inside /proc")
            // In a user namespace, whose root owns what the image has: it leads to what is mounted already.
            || said.contains(": mkdir /") && said.contains("/rootfs/") && matches!(fault, Some(Fault::Forbidden));
        let full = said.contains("tmpcopyup") && said.ends_with("no space left on device");
        match (misplaced, full) {
            (true, _) => "the image has something else where this has to be mounted: mend its files",
            (_, true) => {
                "a volume's files in the image are more than its memory takes: raise the memory limit, or let the root file system be written to"
            }
            _ => return None,
        }
    } else if said.starts_with("unable to setup user: ") && said.contains("must be in range") {
        "the image's user or group has no number that can be used: mend its USER"
    } else if said.starts_with("error setting cgroup config") && said.ends_with("invalid argument") {
        "this machine does not take the function's limits: change them"
    } else {
        return None;
    };
    Some(format!("{sentence} ({})", shortened(said)))
}

/// What runc says of the process, from its stage on.
fn of_the_process(message: &str) -> Option<&str> {
    let begin = |marker: &&str| message.find(*marker).map(|at| at + marker.len());
    let mut said = message[OF_THE_PROCESS.iter().find_map(begin)?..].trim_end_matches(": unknown").trim();
    loop {
        let source_line = said.split_once(": ").filter(|(place, _)| place.contains("_linux.go:"));
        let rest = IN_BETWEEN.iter().find_map(|words| said.strip_prefix(words));
        match rest.or(source_line.map(|(_, rest)| rest)) {
            Some(rest) => said = rest,
            None => return Some(said.trim_matches('"')),
        }
    }
}

/// The exit code that a shell gives a command that it can't execute, where that is what ended a task: 127 for one that is
/// not there (or whose interpreter is not), 126 for any other reason. None where the process itself ran.
///
/// `status` is the task's, `log` all that was written.
pub(super) fn never_ran(status: u32, log: &str) -> Option<u32> {
    if !may_not_have_run(status) {
        return None;
    }
    let line = log.strip_suffix('\n').filter(|line| !line.contains('\n'))?;
    let of_runc = line.starts_with("exec /") || line.contains("exec user process caused: ");
    match Fault::of(line).filter(|_| of_runc)? {
        Fault::Missing => Some(127),
        _ => Some(126),
    }
}

/// Whether a task that ended so may never have run its process: runc ends with 1 then, since 1.2 with 255.
pub(super) fn may_not_have_run(status: u32) -> bool {
    matches!(status, 1 | 255)
}

fn shortened(text: &str) -> String {
    let count = text.chars().count();
    if count <= QUOTE_MAX {
        return text.to_owned();
    }
    let part = |from: usize| text.chars().skip(from).take(QUOTE_MAX / 2).collect::<String>();
    format!("{} ... {}", part(0), part(count - QUOTE_MAX / 2))
}

#[cfg(test)]
mod tests {
    use containerd_client::tonic::Status;

    use super::*;

    const NOW: &str = "OCI runtime create failed: runc create failed: unable to start container process: ";

    fn runc(text: &str) -> HostError {
        let status = Status::unknown(format!("failed to create shim task: {text}: unknown"));
        start_error(Failure { what: "create task f-1".to_owned(), status })
    }

    #[test]
    fn what_runc_says_of_the_process_its_command_directory_user_or_image_is_the_callers_to_mend() {
        let init = "error during container init: ";
        let mount = "error during container init: error mounting \"/s/f-1/hosts\" to rootfs at \"/etc/hosts\": ";
        for (text, says) in [
            ("exec: \"nope\": executable file not found in $PATH".to_owned(), "\"nope\""),
            ("exec: \"/nope\": stat /nope: no such file or directory".to_owned(), "is not there"),
            (format!("{init}exec: \"/nope\": stat /nope: no such file or directory"), "is not there"),
            ("exec: \"/etc/passwd\": permission denied".to_owned(), "may not be executed"),
            ("exec: \"/etc\": is a directory".to_owned(), "leads to no file"),
            ("exec: \"/etc/passwd/x\": stat /etc/passwd/x: not a directory".to_owned(), "leads to no file"),
            ("exec: \"/loop\": stat /loop: too many levels of symbolic links".to_owned(), "leads to no file"),
            (format!("exec: \"/{0}\": stat /{0}: file name too long", "n".repeat(5_000)), "leads to no file"),
            ("exec: \"/x\\x00y\": stat /x\0y: invalid argument".to_owned(), "is not a path"),
            ("exec: \"/x: no space left on device\": stat /x: no such file or directory".to_owned(), "is not there"),
            ("exec /app: exec format error".to_owned(), "not a program for this machine"),
            ("exec /app: argument list too long".to_owned(), "too long"),
            // The built-in runtime's own.
            ("exec: a null in arguments or environment: invalid argument".to_owned(), "null byte"),
            ("chdir to cwd (\"/root\") set in config.json failed: permission denied".to_owned(), "/root"),
            (format!("{init}mkdir /etc/passwd: not a directory"), "WORKDIR"),
            (format!("{init}mkdir /loop: file exists"), "WORKDIR"),
            (format!("{init}mkdir /x\0y: invalid argument"), "WORKDIR"),
            ("unable to setup user: uids and gids must be in range 0-2147483647".to_owned(), "USER"),
            (format!("{mount}mount /s/f-1/hosts:/etc/hosts (via /proc/self/fd/6), flags: 0x500f: not a directory"), "/etc/hosts"),
            (format!("{mount}SecureJoin /b/rootfs/hosts/: too many levels of symbolic links"), "/etc/hosts"),
            (format!("{mount}\"/b/rootfs/proc/1/environ\" cannot be mounted because it is inside /proc"), "mend its files"),
            (format!("{init}error mounting \"proc\" to rootfs at \"/proc\": filesystem \"proc\" must be mounted on ordinary directory"), "/proc"),
            (format!("{init}error mounting \"tmpfs\" to rootfs at \"/data\": tmpcopyup: failed to copy /data to /proc/self/fd/6 (/tmp/runctmpdir1): write /tmp/runctmpdir1/x: no space left on device"), "memory"),
            ("error setting cgroup config for procHooks process: failed to write \"5\": write /sys/fs/cgroup/cpu/f/cpu.shares: invalid argument".to_owned(), "limits"),
            ("error during container init: error mounting \"cgroup\" to rootfs at \"/sys/fs/cgroup\": mkdir /r/t/a/f-1/rootfs/sys/fs: permission denied".to_owned(), "mend its files"),
            ("container init was OOM-killed (memory limit too low?)".to_owned(), "memory limit is too low"),
            ("error setting cgroup config for procHooks process: unable to set memory limit to 5 (current usage: 9, peak usage: 9)".to_owned(), "memory limit is too low"),
        ] {
            let error = runc(&format!("{NOW}{text}"));
            assert!(matches!(&error, HostError::Spec(reason) if reason.contains(says)), "{text}: {error:?}");
            assert!(!error.to_string().contains("unknown") && error.to_string().len() < 700, "{error}");
        }
    }

    #[test]
    fn older_runcs_are_understood_as_well() {
        let old = "OCI runtime create failed: container_linux.go:380: starting container process caused: ";
        for (text, says) in [
            ("exec: \"nope\": executable file not found in $PATH", "is not there"),
            (
                "process_linux.go:545: container init caused: rootfs_linux.go:76: mounting \"/s\" to rootfs at \"/etc/hosts\" caused: mount through procfd: not a directory",
                "mend its files",
            ),
            ("process_linux.go:545: container init caused: mkdir /etc/passwd: not a directory", "WORKDIR"),
        ] {
            let error = runc(&format!("{old}{text}"));
            assert!(matches!(&error, HostError::Spec(reason) if reason.contains(says)), "{text}: {error:?}");
        }
    }

    #[test]
    fn a_fault_of_the_host_is_not_blamed_on_the_caller() {
        let failed = "OCI runtime create failed: ";
        let mount = "error during container init: error mounting \"/s/f-1/hosts\" to rootfs at \"/etc/hosts\": ";
        for text in [
            format!("{failed}error mounting \"/s/x\" to rootfs: stat /s/x: no such file or directory"),
            format!("{failed}mkdir /sys/fs/cgroup/x: permission denied"),
            "start shim: exec failed: fork: resource temporarily unavailable".to_owned(),
            // A runc or shim that is not installed is not the image's command.
            format!(
                "{failed}unable to retrieve OCI runtime error (open /b/log.json: no such file or directory): exec: \"runc\": executable file not found in $PATH"
            ),
            "failed to start shim: start failed: exec: \"containerd-shim-runc-v2\": executable file not found in $PATH"
                .to_owned(),
            format!(
                "{failed}runc create failed: unable to create new parent process: namespace path: lstat /run/netns/f-1: no such file or directory"
            ),
            format!("{failed}runc create failed: container with given ID already exists"),
            format!("{NOW}exec: \"/app\": stat /app: input/output error"),
            format!("{NOW}exec: \"/app\": stat /app: too many open files in system"),
            format!("{NOW}exec: \"/app\": stat /app: cannot allocate memory"),
            format!("{NOW}exec /app: text file busy"),
            format!("{NOW}error during container init: mkdir /work: no space left on device"),
            format!("{NOW}error during container init: mkdir /work: disk quota exceeded"),
            format!("{NOW}{mount}stat /s/f-1/hosts: no such file or directory"),
            format!("{NOW}{mount}mount through procfd: permission denied"),
            format!("{NOW}{mount}no space left on device"),
            format!("{NOW}{mount}cannot allocate memory"),
            format!(
                "{NOW}unable to apply cgroup configuration: mkdir /sys/fs/cgroup/cpu/actord/f-1: no space left on device"
            ),
            format!(
                "{NOW}unable to apply cgroup configuration: failed to write 7: write /sys/fs/cgroup/cpu/f/cgroup.procs: device or resource busy"
            ),
            format!(
                "{NOW}error setting cgroup config for procHooks process: failed to write \"5\": write /sys/fs/cgroup/x: device or resource busy"
            ),
            format!("{NOW}waiting for init preliminary setup: read init-p: connection reset by peer"),
            format!("{NOW}can't get final child's PID from pipe: EOF"),
            format!(
                "{NOW}error during container init: write sysctl key net.ipv4.ping_group_range: open /proc/sys/net/ipv4/ping_group_range: read-only file system"
            ),
            format!("{NOW}error during container init: error setting rlimit type 7: operation not permitted"),
            format!("{NOW}unable to init seccomp: error loading seccomp filter into kernel: errno 524"),
            "ttrpc: closed".to_owned(),
            "failed to mount rootfs component: no space left on device".to_owned(),
            "context deadline exceeded".to_owned(),
        ] {
            assert!(matches!(runc(&text), HostError::Failed(reason) if reason.contains("create task f-1")), "{text}");
        }
        let gone = start_error(Failure { what: "start task f-1".to_owned(), status: Status::unavailable("closing") });
        assert!(matches!(gone, HostError::Unavailable(_)), "{gone:?}");
    }

    #[test]
    fn a_task_that_ended_before_its_process_ran_is_known_by_its_only_words() {
        for (status, log, code) in [
            (1, "exec /script: no such file or directory\n", Some(127)),
            (255, "exec /script: no such file or directory\n", Some(127)),
            (1, "exec /app: exec format error\n", Some(126)),
            (1, "exec /app: permission denied\n", Some(126)),
            (1, "exec /app: argument list too long\n", Some(126)),
            (1, "exec /app: invalid argument\n", Some(126)),
            (1, "standard_init_linux.go:228: exec user process caused: exec format error\n", Some(126)),
            (1, "standard_init_linux.go:228: exec user process caused: no such file or directory\n", Some(127)),
            // What may heal, and what a program says that did run.
            (1, "exec /app: text file busy\n", None),
            (1, "exec /app: cannot allocate memory\n", None),
            (1, "", None),
            (1, "no such file or directory\n", None),
            (1, "open /x: no such file or directory\n", None),
            (1, "hello\nexec /app: permission denied\n", None),
            (1, "exec /app: permission denied\nand more\n", None),
            (2, "exec /app: permission denied\n", None),
            (0, "exec /app: permission denied\n", None),
        ] {
            assert_eq!(never_ran(status, log), code, "{status} {log:?}");
        }
    }
}
