// SPDX-License-Identifier: GPL-2.0

//! KTAP version 1 on stdout: the plan, then one line per test.

use std::process::ExitCode;

use crate::backend::Backend;
use crate::deviations::By;
use crate::machine::Machine;
use crate::pair::Pair;
use crate::{cpuset, sys, touch};

/// Why a test failed.
pub type Check<T = ()> = Result<T, String>;

/// A test and the name it is reported by.
pub type Test<'a> = (&'a str, Box<dyn FnOnce() -> Check + 'a>);

/// A test that begins with both pools in the same state, and the guest they are in.
pub type PairTest = (&'static str, fn(&mut Pair, &Machine) -> Check);

/// Runs the tests in order and says how each went. The status is 0 when all passed.
pub fn run(tests: Vec<Test<'_>>) -> ExitCode {
    println!("KTAP version 1\n1..{}", tests.len());
    let mut failed = false;
    for (index, (name, test)) in tests.into_iter().enumerate() {
        let number = index + 1;
        match test() {
            Ok(()) => println!("ok {number} {name}"),
            Err(why) => {
                failed = true;
                println!("not ok {number} {name} # {}", why.replace('\n', "; "));
            }
        }
    }
    ExitCode::from(u8::from(failed))
}

/// The same for tests of both pools. Whatever one leaves behind, the next begins anew.
pub fn run_on_pair(tests: &[PairTest]) -> ExitCode {
    let on_pair = |&(name, test): &PairTest| -> Test<'static> {
        let run = move || {
            let (machine, mut pair) = prepare(&Backend::BOTH, By::Script)?;
            pair.reset()?;
            test(&mut pair, &machine)
        };
        (name, Box::new(run))
    };
    run(tests.iter().map(on_pair).collect())
}

/// What every test of these pools starts with.
pub fn prepare(backends: &[Backend], by: By) -> Check<(Machine, Pair)> {
    touch::catch().map_err(sys::errno_name)?;
    cpuset::prepare()?;
    let machine = Machine::look()?;
    let pair = Pair::new(&machine, backends, by)?;
    Ok((machine, pair))
}
