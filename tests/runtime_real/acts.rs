//! What a hostile function tries: a part of the program in the test images. Each act is done in a process of its own, and what
//! came of it is printed: `NAME done`, `NAME error NUMBER`, `NAME signal NUMBER`, or `NAME empty` of what can be read and
//! tells nothing.
//!
//! The arguments are good ones: without confinement an act is done, or fails for a reason that comes after the question
//! whether it may be done. None of them harms the machine even then.

use std::ffi::CStr;
use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;

unsafe extern "C" {
    fn syscall(number: i64, ...) -> i64;
    fn fork() -> i32;
    fn waitpid(pid: i32, status: *mut i32, options: i32) -> i32;
    fn kill(pid: i32, signal: i32) -> i32;
    fn pause() -> i32;
    fn _exit(status: i32) -> !;
}

/// What is returned where something can be read and has nothing in it: no error of the kernel has this number.
const EMPTY: i32 = 200;

/// The number of a system call, on either architecture.
const fn number(x86_64: i64, aarch64: i64) -> i64 {
    if cfg!(target_arch = "aarch64") { aarch64 } else { x86_64 }
}

/// Makes a system call; its value, or the kernel's error.
macro_rules! call {
    ($number:expr $(, $argument:expr)*) => {{
        // SAFETY: what is pointed to lives until the call returns.
        let value = unsafe { syscall($number $(, $argument)*) };
        if value < 0 { Err(std::io::Error::last_os_error().raw_os_error().unwrap()) } else { Ok(value) }
    }};
}

type Done = Result<i64, i32>;

fn at(text: &CStr) -> *const std::ffi::c_char {
    text.as_ptr()
}

/// The file system at hand that everybody may write to.
const SCRATCH: &str = "/dev/shm";
const FILE: &CStr = c"/dev/shm/actord-probe-file";
const NODE: &CStr = c"/dev/shm/actord-probe-node";
const NOWHERE: i64 = -100;

fn scratch_file() {
    fs::write(FILE.to_str().unwrap(), "x").unwrap();
}

fn open(path: &str, write: bool) -> Result<fs::File, i32> {
    let opened = fs::OpenOptions::new().read(!write).write(write).custom_flags(0).open(path);
    opened.map_err(|error| error.raw_os_error().unwrap())
}

/// Opens a file to write to it, and leaves it at that.
fn open_to_write(path: &str) -> Done {
    open(path, true).map(|_| 0)
}

fn open_to_read(path: &str) -> Done {
    open(path, false).map(|_| 0)
}

/// Whether a file can be read and holds anything.
fn read(path: &str) -> Done {
    let mut byte = [0];
    let read = std::io::Read::read(&mut open(path, false)?, &mut byte);
    match read.map_err(|error| error.raw_os_error().unwrap())? {
        0 => Err(EMPTY),
        _ => Ok(0),
    }
}

fn list(path: &str) -> Done {
    let entries = fs::read_dir(path).map_err(|error| error.raw_os_error().unwrap())?;
    if entries.count() == 0 { Err(EMPTY) } else { Ok(0) }
}

fn socket(family: i64, kind: i64, protocol: i64) -> Done {
    call!(number(41, 198), family, kind, protocol)
}

const STREAM: i64 = 1;
const DGRAM: i64 = 2;
const RAW: i64 = 3;
const SEQPACKET: i64 = 5;

fn namespaces(flag: i64) -> Done {
    call!(number(272, 97), flag)
}

/// A process of a new namespace of users, which ends at once.
fn clone() -> Done {
    let made = call!(number(56, 220), 0x1000_0000_i64 | 17, 0_i64, 0_i64, 0_i64, 0_i64)?;
    if made == 0 {
        // SAFETY: the copy ends.
        unsafe { _exit(0) }
    }
    Ok(made)
}

fn clone3() -> Done {
    let mut arguments = [0_u64; 11];
    arguments[0] = 0x1000_0000;
    arguments[4] = 17;
    let made = call!(435, arguments.as_ptr(), size_of_val(&arguments))?;
    if made == 0 {
        // SAFETY: the copy ends.
        unsafe { _exit(0) }
    }
    Ok(made)
}

fn join_namespace() -> Done {
    let file = fs::File::open("/proc/self/ns/net").unwrap();
    call!(number(308, 268), std::os::fd::AsRawFd::as_raw_fd(&file), 0x4000_0000_i64)
}

fn bpf_map() -> Done {
    // An array with one element of four bytes.
    let mut attributes = [0_u32; 32];
    attributes[..4].copy_from_slice(&[2, 4, 4, 1]);
    call!(number(321, 280), 0_i64, attributes.as_ptr(), size_of_val(&attributes))
}

fn perf_event() -> Done {
    // A clock of this process, by software.
    let mut attributes = [0_u32; 28];
    attributes[..2].copy_from_slice(&[1, 112]);
    call!(number(298, 241), attributes.as_ptr(), 0_i64, -1_i64, -1_i64, 0_i64)
}

fn ring() -> Done {
    let parameters = [0_u64; 15];
    call!(425, 1_i64, parameters.as_ptr())
}

fn descriptor_of_a_process() -> Done {
    let process = call!(434, std::process::id(), 0_i64)?;
    call!(438, process, 1_i64, 0_i64)
}

fn compare() -> Done {
    call!(number(312, 272), std::process::id(), std::process::id(), 0_i64, 1_i64, 1_i64)
}

fn device_node() -> Done {
    // A character device: the machine's memory.
    let made = call!(number(259, 33), NOWHERE, at(NODE), 0o020_600_i64, 0x101_i64);
    let _ = fs::remove_file(NODE.to_str().unwrap());
    made
}

fn give_away() -> Done {
    scratch_file();
    let given = call!(number(260, 54), NOWHERE, at(FILE), 1_i64, 1_i64, 0_i64);
    let _ = fs::remove_file(FILE.to_str().unwrap());
    given
}

fn open_by_handle() -> Done {
    scratch_file();
    let mut handle = [0_u32; 34];
    handle[0] = 128;
    let mut mount = 0_i32;
    call!(number(303, 264), NOWHERE, at(FILE), handle.as_mut_ptr(), &raw mut mount, 0_i64)?;
    let place = fs::File::open(SCRATCH).unwrap();
    let opened = call!(number(304, 265), std::os::fd::AsRawFd::as_raw_fd(&place), handle.as_ptr(), 0_i64);
    let _ = fs::remove_file(FILE.to_str().unwrap());
    opened
}

/// Traces a process of its own that does not want that: one that has read a secret and may not be looked into.
fn trace() -> Done {
    let (mut ready, mut tell) = std::io::pipe().unwrap();
    // SAFETY: there is one thread.
    let pid = unsafe { fork() };
    if pid == 0 {
        let _ = call!(number(157, 167), 4_i64, 0_i64, 0_i64, 0_i64, 0_i64);
        let _ = std::io::Write::write_all(&mut tell, b"x");
        loop {
            // SAFETY: waits for the end.
            unsafe { pause() };
        }
    }
    let _ = std::io::Read::read_exact(&mut ready, &mut [0]);
    let traced = call!(number(101, 117), 0x4206_i64, i64::from(pid), 0_i64, 0_i64);
    // SAFETY: the process is a child of this one.
    unsafe { kill(pid, 9) };
    traced
}

fn network_flags() -> Done {
    let socket = socket(2, DGRAM, 0)?;
    let mut request = [0_u8; 40];
    request[..2].copy_from_slice(b"lo");
    // Up and a loopback, as it is.
    request[16] = 9;
    call!(number(16, 29), socket, 0x8914_i64, request.as_ptr())
}

fn mark() -> Done {
    let socket = socket(2, DGRAM, 0)?;
    let mark = 7_i32;
    call!(number(54, 208), socket, 1_i64, 36_i64, &raw const mark, 4_i64)
}

fn core_dumps() -> Done {
    let limit = [4096_u64, 4096];
    call!(number(302, 261), 0_i64, 4_i64, limit.as_ptr(), 0_i64)
}

fn mount() -> Done {
    call!(number(165, 40), at(c"tmpfs"), at(c"/dev/shm"), at(c"tmpfs"), 0_i64, 0_i64)
}

/// Enters the kernel as a program of 32 bits does.
#[cfg(target_arch = "x86_64")]
fn old_entry(number: i64, argument: i64) -> Done {
    let value: i64;
    // SAFETY: neither call that is made so changes more of this process than the register that it answers in; the one for
    // the argument is put back.
    unsafe {
        std::arch::asm!(
            "xchg rbx, {argument}", "int 0x80", "xchg rbx, {argument}",
            argument = inout(reg) argument => _, inlateout("rax") number => value,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    if value < 0 { Err(i32::try_from(-value).unwrap()) } else { Ok(value) }
}

#[cfg(not(target_arch = "x86_64"))]
fn old_entry(_: i64, _: i64) -> Done {
    Err(38)
}

fn short_pointers() -> Done {
    call!(0x4000_0000 | number(39, 172))
}

fn first_of(paths: [&'static str; 2]) -> &'static str {
    paths.into_iter().find(|path| fs::exists(path).unwrap_or(false)).unwrap_or(paths[0])
}

type Act = (&'static str, fn() -> Done);

/// In the order in which they are tried: the last ones change what those before them need.
const ACTS: &[Act] = &[
    ("namespace-of-users", || namespaces(0x1000_0000)),
    ("namespace-of-mounts", || namespaces(0x0002_0000)),
    ("namespace-of-networks", || namespaces(0x4000_0000)),
    ("clone-into-namespace", clone),
    ("clone3-into-namespace", clone3),
    ("join-namespace", join_namespace),
    ("new-file-system", || call!(430, at(c"tmpfs"), 0_i64)),
    ("copy-of-mounts", || call!(428, NOWHERE, at(c"/"), 0x8_0001_i64)),
    ("configure-file-system", || call!(433, NOWHERE, at(c"/proc"), 0_i64)),
    ("change-root", || call!(number(161, 51), at(c"/"))),
    ("session-keyring", || call!(number(250, 219), 0_i64, -3_i64, 1_i64)),
    ("add-key", || call!(number(248, 217), at(c"user"), at(c"actord-probe"), at(c"x"), 1_i64, -2_i64)),
    ("request-key", || call!(number(249, 218), at(c"user"), at(c"actord-no-such-key"), 0_i64, 0_i64)),
    ("bpf-map", bpf_map),
    ("perf-event", perf_event),
    ("load-module", || call!(number(175, 105), [0_u8; 64].as_ptr(), 64_i64, at(c""))),
    ("load-module-of-file", || {
        let file = fs::File::open("/proc/self/exe").unwrap();
        call!(number(313, 273), std::os::fd::AsRawFd::as_raw_fd(&file), at(c""), 0_i64)
    }),
    ("remove-module", || call!(number(176, 106), at(c"actord_no_such_module"), 0o4000_i64)),
    ("load-kernel", || call!(number(246, 104), 0_i64, 0_i64, 0_i64, 0xff_0000_i64)),
    ("load-kernel-of-file", || call!(number(320, 294), -1_i64, -1_i64, 0_i64, 0_i64, 0_i64)),
    ("restart", || call!(number(169, 142), 0xfee1_dead_i64, 672_274_793_i64, 0_i64, 0_i64)),
    ("ring", ring),
    ("crypto-socket", || socket(38, SEQPACKET, 0)),
    ("crypto-socket-of-64-bits", || socket(1 << 32 | 38, SEQPACKET, 0)),
    ("socket-of-hypervisor", || socket(40, STREAM, 0)),
    ("socket-of-hypervisor-of-64-bits", || socket(1 << 32 | 40, STREAM, 0)),
    ("packet-socket", || socket(17, RAW, 0x300)),
    ("packet-socket-without-head", || socket(17, DGRAM, 0x300)),
    ("raw-socket", || socket(2, RAW, 1)),
    ("raw-socket-of-version-6", || socket(10, RAW, 58)),
    ("mark-packets", mark),
    ("change-interface", network_flags),
    ("descriptor-of-a-process", descriptor_of_a_process),
    ("compare-processes", compare),
    ("trace", trace),
    ("device-node", device_node),
    ("give-away", give_away),
    ("open-by-handle", open_by_handle),
    ("another-user", || call!(number(117, 147), 12_345_i64, 12_345_i64, 12_345_i64)),
    ("another-group", || call!(number(119, 149), 12_345_i64, 12_345_i64, 12_345_i64)),
    ("more-groups", || call!(number(116, 159), 1_i64, [12_345_u32].as_ptr())),
    ("priority", || call!(number(141, 140), 0_i64, 0_i64, -5_i64)),
    ("core-dumps", core_dumps),
    ("fault-handler", || call!(number(323, 282), 0_i64)),
    ("watch-files", || call!(number(300, 262), 0_i64, 0_i64)),
    ("memory-policy", || call!(number(238, 237), 0_i64, 0_i64, 0_i64)),
    ("fixed-addresses", || call!(number(135, 92), 0x4_0000_i64)),
    ("kernel-log", || call!(number(103, 116), 10_i64, 0_i64, 0_i64)),
    ("swap", || call!(number(167, 224), at(c"/actord-no-such-file"), 0_i64)),
    ("accounting", || call!(number(163, 89), at(c"/actord-no-such-file"))),
    // Asks for its own number.
    ("old-entry", || old_entry(20, 0)),
    // Wants a namespace for its host name.
    ("old-entry-to-a-namespace", || old_entry(310, 0x400_0000)),
    ("short-pointers", short_pointers),
    ("set-parameter", || open_to_write("/proc/sys/kernel/hostname")),
    ("set-core-pattern", || open_to_write("/proc/sys/kernel/core_pattern")),
    ("trigger", || open_to_write("/proc/sysrq-trigger")),
    ("set-in-sys", || open_to_write("/sys/class/net/lo/mtu")),
    ("leave-group", || open_to_write(first_of(["/sys/fs/cgroup/pids/cgroup.procs", "/sys/fs/cgroup/cgroup.procs"]))),
    ("memory-of-the-machine", || open_to_read("/dev/mem")),
    ("messages-of-the-kernel", || open_to_read("/dev/kmsg")),
    ("memory-of-the-kernel", || read("/proc/kcore")),
    ("keys", || read("/proc/keys")),
    ("timers", || read("/proc/timer_list")),
    ("interrupts", || read("/proc/interrupts")),
    ("firmware", || list("/sys/firmware")),
    ("host-name", || call!(number(170, 161), at(c"probe"), 5_i64)),
    ("mount", mount),
    ("unmount", || call!(number(166, 39), at(c"/proc"), 2_i64)),
];

/// Tries everything.
pub(crate) fn all() {
    for (name, act) in ACTS {
        println!("{name} {}", outcome(*act));
    }
}

fn outcome(act: fn() -> Done) -> String {
    // SAFETY: there is one thread.
    let pid = unsafe { fork() };
    if pid == 0 {
        let status = act().err().unwrap_or(0);
        // SAFETY: the copy ends.
        unsafe { _exit(status) }
    }
    let mut status = 0;
    // SAFETY: the process is a child of this one.
    unsafe { waitpid(pid, &raw mut status, 0) };
    match (status & 0x7f, status >> 8 & 0xff) {
        (0, 0) => "done".to_owned(),
        (0, EMPTY) => "empty".to_owned(),
        (0, error) => format!("error {error}"),
        (signal, _) => format!("signal {signal}"),
    }
}
