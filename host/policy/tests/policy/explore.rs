// SPDX-License-Identifier: GPL-2.0

//! Runs something once for each way its choices can go, depth first.

/// The choices of one run: those of the path that is being tried, then the first of each.
pub(crate) struct Choices {
    /// What was chosen, out of how many.
    path: Vec<(usize, usize)>,
    at: usize,
}

impl Choices {
    /// A number below `of`, which is at least 1.
    pub(crate) fn pick(&mut self, of: usize) -> usize {
        if self.at == self.path.len() {
            self.path.push((0, of));
        }
        let (chosen, before) = self.path[self.at];
        assert_eq!(of, before, "the same choices lead to another state");
        self.at += 1;
        chosen
    }

    /// The next path in depth-first order. False if this was the last.
    fn advance(&mut self) -> bool {
        self.path.truncate(self.at);
        self.at = 0;
        while let Some((chosen, of)) = self.path.pop() {
            if chosen + 1 < of {
                self.path.push((chosen + 1, of));
                return true;
            }
        }
        false
    }
}

impl Drop for Choices {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let path = Vec::from_iter(self.path.iter().map(|(chosen, _)| *chosen));
            eprintln!("the choices that lead here: {path:?}");
        }
    }
}

/// Calls `run` for each way and says how many there were.
pub(crate) fn explore(mut run: impl FnMut(&mut Choices)) -> usize {
    let mut choices = Choices {
        path: Vec::new(),
        at: 0,
    };
    let mut ways = 0;
    loop {
        run(&mut choices);
        ways += 1;
        if !choices.advance() {
            return ways;
        }
    }
}

#[test]
fn every_way_is_taken_once() {
    let mut seen = Vec::new();
    let ways = explore(|choices| {
        let first = choices.pick(3);
        let second = if first == 1 { 0 } else { choices.pick(2) };
        choices.pick(1);
        seen.push((first, second));
    });
    assert_eq!(seen, [(0, 0), (0, 1), (1, 0), (2, 0), (2, 1)]);
    assert_eq!(ways, 5);
    assert_eq!(explore(|_| ()), 1);
}
