// SPDX-License-Identifier: GPL-2.0

//! Tests of the verdicts, each at the edge of its target.

use super::*;

/// A run with one sample for each of these.
fn run(samples: &[(&str, &str, u64, u64)]) -> Run {
    let line = |(case, pool, pages, ns): &(&str, &str, u64, u64)| {
        format!(
            r#"{{"case":"{case}","pool":"{pool}","pages":{pages},"round":0,"ops":1,"ns":[{ns}]}}"#
        )
    };
    let lines: Vec<_> = samples.iter().map(line).collect();
    Run::parse(&lines.join("\n")).unwrap()
}

/// The row whose name begins so.
fn row(icount: &Run, cpus: Option<&Run>, name: &str) -> Target {
    let runs = Runs {
        icount,
        sizes: None,
        cpus,
        kvm: None,
    };
    let mut rows = all(&runs).into_iter();
    rows.find(|row| row.case.starts_with(name)).unwrap()
}

#[test]
fn at_most_means_that_the_limit_is_met() {
    for (instructions, verdict) in [(2500, Verdict::Met), (2501, Verdict::Missed)] {
        let run = run(&[("touch-zero", "module", 64, instructions)]);
        let row = row(&run, None, "first touch of a known-zero page");
        assert_eq!(row.verdict, verdict, "{instructions}");
        assert_eq!(row.hugetlb, "-");
    }
}

#[test]
fn a_part_of_hugetlbs() {
    for (module, verdict) in [(510, Verdict::Met), (511, Verdict::Missed)] {
        let run = run(&[
            ("grow-touch", "hugetlb", 64, 1000),
            ("grow-touch", "module", 64, module),
        ]);
        assert_eq!(row(&run, None, "grow + first touch").verdict, verdict);
    }
}

#[test]
fn clearing_is_taken_off_where_something_is_cleared() {
    let run = run(&[("clear", "none", 64, 2000)]);
    let rest = |case, pool, value| besides_clearing(&run, case, pool, value);
    assert_eq!(rest("touch-zero", Pool::Hugetlb, 2100.0), Some(100.0));
    assert_eq!(rest("touch-zero", Pool::Module, 100.0), None);
    assert_eq!(rest("grow-touch", Pool::Hugetlb, 4300.0), Some(300.0));
    assert_eq!(rest("grow-touch", Pool::Module, 2300.0), Some(300.0));
}

#[test]
fn two_cpus_against_one() {
    let icount = run(&[("grow", "module", 64, 1)]);
    for (two, verdict) in [(100, Verdict::Met), (101, Verdict::Missed)] {
        let cpus = run(&[
            ("grow-1-cpu", "module", 64, 170),
            ("grow-2-cpus", "module", 64, two),
        ]);
        assert_eq!(row(&icount, Some(&cpus), "grow, 2").verdict, verdict);
    }
}

#[test]
fn three_hundred_times_faster() {
    let icount = run(&[("grow", "module", 64, 1)]);
    for (hugetlb, verdict) in [(3000, Verdict::Met), (2999, Verdict::Missed)] {
        let cpus = run(&[
            ("touch-zero", "hugetlb", 64, hugetlb),
            ("touch-zero", "module", 64, 10),
        ]);
        assert_eq!(
            row(&icount, Some(&cpus), "the same in time").verdict,
            verdict
        );
    }
}

#[test]
fn more_pages_may_not_take_more() {
    for (many, verdict) in [
        (1100, Verdict::Met),
        (1101, Verdict::Missed),
        (10, Verdict::Met),
    ] {
        let run = run(&[
            ("close", "module", 64, 1000),
            ("close", "module", 4096, many),
        ]);
        let row = row(&run, None, "what takes more");
        assert_eq!(row.verdict, verdict, "{many}: {}", row.module);
    }
}

#[test]
fn a_fork_is_the_same_or_not() {
    for (many, verdict) in [
        (105, Verdict::Met),
        (94, Verdict::Missed),
        (106, Verdict::Missed),
    ] {
        let run = run(&[
            ("fork-shared", "module", 64, 100),
            ("fork-shared", "module", 512, many),
        ]);
        assert_eq!(row(&run, None, "fork").verdict, verdict, "{many}");
    }
}

#[test]
fn what_was_not_measured_is_not_met() {
    let run = run(&[("close", "module", 64, 1000)]);
    let runs = Runs {
        icount: &run,
        sizes: None,
        cpus: None,
        kvm: None,
    };
    for row in all(&runs) {
        assert_eq!(row.verdict, Verdict::NotMeasured, "{}", row.case);
    }
}

#[test]
fn with_kvm_where_that_works() {
    let run = run(&[
        ("touch-1-thread", "module", 64, 180),
        ("touch-2-threads", "module", 64, 100),
    ]);
    let none = Run::parse(r#"{"skip":"all","why":"no KVM"}"#).unwrap();
    let rows = |kvm| {
        let runs = Runs {
            icount: &run,
            sizes: None,
            cpus: None,
            kvm,
        };
        let rows = all(&runs).into_iter();
        rows.filter(|row| row.case.contains("KVM"))
            .map(|row| (row.case, row.verdict))
            .collect::<Vec<_>>()
    };
    let touch = "touch, 2 vCPUs, KVM against one".to_string();
    assert!(rows(Some(&run)).contains(&(touch, Verdict::Met)));
    assert_eq!(rows(Some(&none)), []);
    assert_eq!(rows(None), []);
}

#[test]
fn bytes_kept_are_the_most_of_all_rounds() {
    for (most, verdict) in [(16, Verdict::Met), (17, Verdict::Missed)] {
        let run = run(&[
            ("bookkeeping", "module", 64, 99),
            ("bookkeeping", "module", 4096, 0),
            ("bookkeeping", "module", 4096, most),
            ("bookkeeping", "module", 4096, 0),
        ]);
        assert_eq!(row(&run, None, "bookkeeping").verdict, verdict, "{most}");
    }
    let few = run(&[("bookkeeping", "module", 64, 99)]);
    let row = row(&few, None, "bookkeeping");
    assert_eq!(row.verdict, Verdict::NotMeasured);
}

#[test]
fn no_look_at_each_page_of_1_gib() {
    for (instructions, verdict) in [(262_143, Verdict::Met), (262_144, Verdict::Missed)] {
        let run = run(&[("1G-touch-zero", "module", 1, instructions)]);
        let row = row(&run, None, "poison checks");
        assert_eq!(row.verdict, verdict, "{instructions}");
    }
}

#[test]
fn clearing_hides_no_growth() {
    // 100 besides a clear, and 10 or 11 more with many pages.
    let counted = run(&[
        ("clear", "none", 64, 2000),
        ("grow", "module", 64, 2100),
        ("touch-zero", "module", 64, 1),
    ]);
    for (many, verdict) in [(310, Verdict::Met), (311, Verdict::Missed)] {
        let sizes = run(&[("grow", "module", 64, 300), ("grow", "module", 4096, many)]);
        let runs = Runs {
            icount: &counted,
            sizes: Some(&sizes),
            cpus: None,
            kvm: None,
        };
        let mut rows = all(&runs).into_iter();
        let flat = rows.find(|row| row.case.starts_with("what takes more"));
        assert_eq!(flat.unwrap().verdict, verdict, "{many}");
    }
}
