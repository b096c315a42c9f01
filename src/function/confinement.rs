//! What helps a program that could not do at its start what functions may not do: read from how it ended and what it wrote
//! last, so that the message about it names the way out.

use super::Exit;

/// The signal that ends a process that enters the kernel in a way that its filter does not know.
const SIGSYS: u32 = 31;

const RIGHT: &str = "root in a function has no right of root that the function does not ask for: annotation \
                     actord.capabilities, such as SETGID,SETUID to go on as another user, CHOWN to give files away";
const CALL: &str =
    "its filter of system calls ended it: is it a program of 32 bits? Annotation actord.compat-32bit lets it in";

/// What to do about an early end that the confinement is likely to have caused, in words.
#[must_use]
pub fn way_out(exit: &Exit, said: &str) -> Option<&'static str> {
    if *exit == Exit::Signal(SIGSYS) {
        return Some(CALL);
    }
    let failed = matches!(exit, Exit::Code(code) if *code != 0);
    (failed && said.to_ascii_lowercase().contains("operation not permitted")).then_some(RIGHT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_lacks_a_right_of_root_is_told_which_annotation_gives_it() {
        for said in [
            "nginx: [emerg] chown(\"/var/cache/nginx/client_temp\", 101) failed (1: Operation not permitted)",
            "error: failed switching to \"redis\": operation not permitted",
            "su-exec: setgroups(1000): Operation not permitted\n",
        ] {
            assert!(way_out(&Exit::Code(1), said).is_some_and(|told| told.contains("actord.capabilities")), "{said}");
        }
    }

    #[test]
    fn what_is_killed_for_its_way_into_the_kernel_is_told_so() {
        assert!(way_out(&Exit::Signal(SIGSYS), "").is_some_and(|told| told.contains("32 bits")));
    }

    #[test]
    fn other_ends_have_no_such_reason() {
        assert_eq!(way_out(&Exit::Code(1), "no config"), None);
        for exit in [Exit::Code(0), Exit::OutOfMemory, Exit::Vanished, Exit::Signal(9)] {
            assert_eq!(way_out(&exit, "Operation not permitted"), None, "{exit}");
        }
    }
}
