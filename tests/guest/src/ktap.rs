// SPDX-License-Identifier: GPL-2.0

//! KTAP version 1 on stdout: the plan, then one line per test.

use std::io::{stdout, Write};
use std::panic::set_hook;
use std::process::ExitCode;

use crate::{child, Check, Fail};

/// A test and the name it is reported by.
pub type Test = (&'static str, fn() -> Check);

/// Seconds after which a test has hung. Emulated guests are slow, and the debug kernel waits seconds
/// before it frees a folder of sysfs; no test takes a tenth of it but those that reload the module.
const LIMIT: u32 = 900;

/// Lists functions as tests, named as they are.
#[macro_export]
macro_rules! tests {
    ($($($module:ident)::+),* $(,)?) => {
        [$((stringify!($($module)::+), $($module)::+ as fn() -> $crate::Check)),*]
    };
}

/// Runs the tests in order and says how each went. The status is 0 when all passed.
pub fn run(tests: &[Test]) -> ExitCode {
    // A panic is reported as the reason of its test, not beside it.
    set_hook(Box::new(|_| {}));
    println!("KTAP version 1\n1..{}", tests.len());
    let mut failed = false;
    for (index, (name, test)) in tests.iter().enumerate() {
        // A child must not print again what still waits here.
        let _ = stdout().flush();
        let number = index + 1;
        // The compiler spells a path with spaces.
        let name = name.replace(' ', "");
        match isolated(*test) {
            Ok(()) => println!("ok {number} {name}"),
            Err(Fail(why)) => {
                failed = true;
                println!("not ok {number} {name} # {}", why.replace('\n', "; "));
            }
        }
    }
    ExitCode::from(u8::from(failed))
}

/// Runs a test in a process of its own, so that a SIGBUS or a hang is the end of that test only.
fn isolated(test: fn() -> Check) -> Check {
    child::in_child(|| {
        goes_on();
        test()
    })
}

/// The test has [`LIMIT`] seconds from now on: to be called after each of very many steps.
pub fn goes_on() {
    // SAFETY: alarm takes a number. The SIGALRM ends the process.
    unsafe { libc::alarm(LIMIT) };
}
