//! The program in the containers of these tests: does what its arguments say. Compiled by itself into a static binary.

use std::io::Write;
use std::process::{Command, exit};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |at: usize| arguments.get(at).map_or("", String::as_str);
    match argument(0) {
        "exit" => exit(argument(1).parse().unwrap()),
        // Lines to both streams in turn, and an end at once.
        "talk" => {
            for number in 0..argument(1).parse().unwrap() {
                if number % 2 == 0 {
                    println!("{} line {number}", argument(2));
                } else {
                    eprintln!("{} line {number}", argument(2));
                }
            }
        }
        "sleep" => sleep(),
        // Ends, and leaves a process that has its streams open.
        "leave" => {
            println!("parent");
            Command::new("/program").args(["late"]).spawn().unwrap();
            exit(3);
        }
        "late" => {
            println!("child");
            sleep();
        }
        "about" => {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let ignored = status.lines().find(|line| line.starts_with("SigIgn")).unwrap();
            let blocked = status.lines().find(|line| line.starts_with("SigBlk")).unwrap();
            let open = std::fs::read_dir("/proc/self/fd").unwrap();
            let mut open: Vec<String> =
                open.flatten().filter(|entry| std::fs::read_link(entry.path()).is_ok_and(|to| !to.ends_with("fd")))
                    .map(|entry| entry.file_name().into_string().unwrap()).collect();
            open.sort();
            println!("{ignored}\n{blocked}\nopen {}", open.join(" "));
            for name in ["stdout", "stderr"] {
                let number = if name == "stdout" { 1 } else { 2 };
                let mut reopened = std::fs::OpenOptions::new().append(true).open(format!("/proc/self/fd/{number}")).unwrap();
                writeln!(reopened, "reopened {name}").unwrap();
            }
        }
        other => panic!("what is {other:?}?"),
    }
}

fn sleep() {
    loop {
        std::thread::sleep(std::time::Duration::from_secs(3_600));
    }
}
