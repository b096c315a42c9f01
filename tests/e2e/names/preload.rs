//! What stands before the C library's `getaddrinfo` in a program that is tested: it answers names below `test.` from a file,
//! and passes all others on. A library of its own, without any dependency, that `LD_PRELOAD` names.
//!
//! The file, which `TEST_NAMES` names, has a line for each name: the name, then answers with spaces between them, of which each
//! look-up gets the next, around and around. An answer is addresses with commas between them.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, fs, mem, ptr};

/// As glibc has it on Linux.
#[repr(C)]
pub struct AddrInfo {
    flags: c_int,
    family: c_int,
    kind: c_int,
    protocol: c_int,
    length: u32,
    address: *mut c_void,
    name: *mut c_char,
    next: *mut AddrInfo,
}

type LookUp = unsafe extern "C" fn(*const c_char, *const c_char, *const AddrInfo, *mut *mut AddrInfo) -> c_int;

const EAI_NONAME: c_int = -2;
const RTLD_NEXT: *mut c_void = -1_isize as *mut c_void;

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, symbol: *const c_char) -> *mut c_void;
}

static LOOKED_UP: AtomicUsize = AtomicUsize::new(0);

/// The addresses of this look-up; none of a name that the file does not have.
fn told(name: &str) -> Option<Vec<CString>> {
    let text = fs::read_to_string(env::var_os("TEST_NAMES")?).ok()?;
    let line = text.lines().find(|line| line.split(' ').next() == Some(name))?;
    let answers: Vec<&str> = line.split(' ').skip(1).collect();
    let answer = answers.get(LOOKED_UP.fetch_add(1, Ordering::SeqCst) % answers.len().max(1))?;
    answer.split(',').map(|address| CString::new(address).ok()).collect()
}

/// # Safety
/// As of the function of this name in the C library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getaddrinfo(
    node: *const c_char,
    service: *const c_char,
    hints: *const AddrInfo,
    found: *mut *mut AddrInfo,
) -> c_int {
    // SAFETY: the C library has this function, of this type; the caller keeps to its rules. What it makes is one allocation a
    // member, so lists of it may be put together, and are freed as one.
    unsafe {
        let look_up: LookUp = mem::transmute(dlsym(RTLD_NEXT, c"getaddrinfo".as_ptr()));
        let name = if node.is_null() { None } else { CStr::from_ptr(node).to_str().ok() };
        let Some(name) = name.map(|name| name.trim_end_matches('.')).filter(|name| name.ends_with(".test")) else {
            return look_up(node, service, hints, found);
        };
        *found = ptr::null_mut();
        let mut last = found;
        for address in told(name).unwrap_or_default() {
            let code = look_up(address.as_ptr(), service, hints, last);
            if code != 0 {
                return code;
            }
            while !(*last).is_null() {
                last = &raw mut (**last).next;
            }
        }
        if (*found).is_null() { EAI_NONAME } else { 0 }
    }
}
