// SPDX-License-Identifier: GPL-2.0

//! The texts of the files, read strictly: whatever is not as documented fails the test.

use std::fs;

use guest::pool::{Pool, OURS, OURS_1G};
use guest::{check, debugfs, fail, same, Check, Fail};

/// What a range can be, in the order of the files.
pub const VERDICTS: [&str; 9] = [
    "free",
    "movable",
    "unlisted",
    "pool",
    "pinned",
    "huge",
    "unmovable",
    "reserved",
    "hole",
];

/// The facts of a zone that are no verdicts.
const OTHERS: [&str; 6] = [
    "ranges",
    "free_blocks",
    "free_pages",
    "watermark_min",
    "watermark_low",
    "watermark_high",
];

/// A page size of the module's.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub pool: Pool,
    /// In base pages.
    pub pages: u64,
}

pub const LARGE: Size = Size {
    pool: OURS,
    pages: 512,
};
pub const GIGANTIC: Size = Size {
    pool: OURS_1G,
    pages: 1 << 18,
};

/// A line of a zone in `explain`.
pub struct Fact {
    pub node: usize,
    pub zone: String,
    pub name: String,
    pub numbers: Vec<u64>,
}

pub struct Explain {
    pub asked: u64,
    pub got: u64,
    /// `all` or `node<N>`.
    pub on: String,
    pub facts: Vec<Fact>,
}

/// Three numbers of `can_grow`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prospect {
    pub now: u64,
    pub likely: u64,
    pub at_most: u64,
}

/// A line of the map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    pub node: usize,
    pub zone: String,
    pub first: u64,
    pub last: u64,
    pub verdict: String,
    /// As in [`VERDICTS`].
    pub pages: [u64; 9],
}

impl Range {
    pub fn count(&self, verdict: &str) -> u64 {
        let place = VERDICTS.iter().position(|name| *name == verdict);
        self.pages[place.expect("a verdict's name")]
    }

    pub fn has(&self, frame: u64) -> bool {
        (self.first..=self.last).contains(&frame)
    }

    /// Whether a huge page could be had there, as things are.
    pub fn is_open(&self) -> bool {
        ["free", "movable", "unlisted"].contains(&self.verdict.as_str())
    }
}

impl Explain {
    /// The sum over all zones, or those of a node.
    pub fn sum(&self, name: &str, node: Option<usize>) -> u64 {
        let facts = self.facts.iter().filter(|fact| fact.name == name);
        facts
            .filter(|fact| node.is_none_or(|node| fact.node == node))
            .map(|fact| fact.numbers[0])
            .sum()
    }

    /// The one number of a zone.
    pub fn number(&self, node: usize, zone: &str, name: &str) -> Option<u64> {
        let mut facts = self.facts.iter();
        facts
            .find(|fact| (fact.node, &*fact.zone, &*fact.name) == (node, zone, name))
            .map(|fact| fact.numbers[0])
    }
}

impl Size {
    pub fn kib(self) -> u64 {
        self.pool.page_bytes() as u64 >> 10
    }

    pub fn map_file(self) -> String {
        debugfs::map_file(self.pool)
    }

    pub fn explain(self) -> Check<Explain> {
        Explain::parse(&fs::read_to_string(self.pool.file("explain"))?)
    }

    pub fn explain_of(self, node: usize) -> Check<Explain> {
        Explain::parse(&fs::read_to_string(self.pool.node_file(node, "explain"))?)
    }

    /// `can_grow` of all nodes, and of each.
    pub fn can_grow(self) -> Check<(Prospect, Vec<(usize, Prospect)>)> {
        let mut all = prospects(&fs::read_to_string(self.pool.file("can_grow"))?)?;
        check!(!all.is_empty() && all[0].0 == "all", "no line of all");
        let (_, total) = all.remove(0);
        let mut nodes = Vec::new();
        for (name, prospect) in all {
            nodes.push((node_of(&name)?, prospect));
        }
        Ok((total, nodes))
    }

    pub fn can_grow_of(self, node: usize) -> Check<Prospect> {
        let text = fs::read_to_string(self.pool.node_file(node, "can_grow"))?;
        let all = prospects(&text)?;
        same!(all.len(), 1, "nodes in a node's can_grow");
        same!(all[0].0, format!("node{node}"), "the node");
        Ok(all[0].1)
    }

    pub fn map(self) -> Check<Vec<Range>> {
        debugfs::mount()?;
        let text = fs::read_to_string(self.map_file())?;
        let ranges = text.lines().map(Range::parse).collect::<Check<Vec<_>>>()?;
        for range in &ranges {
            same!(range.first % self.pages, 0, "a range's alignment");
            same!(range.last - range.first + 1, self.pages, "a range's length");
        }
        Ok(ranges)
    }

    /// The range of the map that a frame lies in.
    pub fn range_of(self, frame: u64) -> Check<Range> {
        let mut ranges = self.map()?.into_iter();
        ranges
            .find(|range| range.has(frame))
            .ok_or_else(|| Fail(format!("frame {frame:#x} is not in the map")))
    }
}

/// A pool as it was when the test is over.
#[must_use]
pub struct Emptied(pub Size);

impl Emptied {
    pub fn now(size: Size) -> Check<Self> {
        size.pool.set(0)?;
        same!(size.pool.nr()?, 0, "nr_hugepages to begin with");
        Ok(Self(size))
    }
}

impl Drop for Emptied {
    fn drop(&mut self) {
        // The test has its verdict already.
        let _ = self.0.pool.set(0);
    }
}

/// Puts pages that wait in the CPUs' batches onto their LRU lists: compaction does that first.
pub fn drain() -> Check {
    fs::write("/proc/sys/vm/compact_memory", "1")?;
    Ok(())
}

fn node_of(word: &str) -> Check<usize> {
    match word.strip_prefix("node") {
        Some(number) => Ok(number.parse()?),
        None => Err(Fail(format!("{word:?} is no node"))),
    }
}

impl Explain {
    fn parse(text: &str) -> Check<Self> {
        check!(text.len() < 4096, "{} bytes", text.len());
        check!(text.ends_with('\n'), "no line feed at the end");
        let mut lines = text.lines();
        let mut head = |name: &str| match lines.next().and_then(|line| line.split_once(' ')) {
            Some((seen, value)) if seen == name => Ok(value.to_string()),
            other => Err(Fail(format!("{other:?}, not {name}"))),
        };
        let asked = head("asked")?.parse()?;
        let got = head("got")?.parse()?;
        let on = head("on")?;
        if on != "all" {
            node_of(&on)?;
        }
        let facts = lines.map(Fact::parse).collect::<Check<_>>()?;
        Ok(Self {
            asked,
            got,
            on,
            facts,
        })
    }
}

impl Fact {
    fn parse(line: &str) -> Check<Self> {
        let mut words = line.split(' ');
        let (Some(node), Some(zone), Some(name)) = (words.next(), words.next(), words.next())
        else {
            fail!("{line:?}");
        };
        let plain = name.strip_prefix("nearest_miss_").unwrap_or(name);
        check!(
            VERDICTS.contains(&plain) || OTHERS.contains(&name),
            "{name:?} in {line:?}"
        );
        let numbers = words
            .map(|word| Ok(word.parse()?))
            .collect::<Check<Vec<_>>>()?;
        let want = if name == "free_blocks" { 11 } else { 1 };
        same!(numbers.len(), want, "numbers in {line:?}");
        Ok(Self {
            node: node_of(node)?,
            zone: zone.to_string(),
            name: name.to_string(),
            numbers,
        })
    }
}

impl Range {
    fn parse(line: &str) -> Check<Self> {
        let words: Vec<_> = line.split(' ').collect();
        same!(words.len(), 4 + 2 * VERDICTS.len(), "words in {line:?}");
        let hex = |word: &str| {
            let digits = word
                .strip_prefix("0x")
                .ok_or_else(|| Fail(line.to_string()))?;
            Ok::<_, Fail>(u64::from_str_radix(digits, 16)?)
        };
        let Some((first, last)) = words[2].split_once('-') else {
            fail!("{line:?}");
        };
        let mut pages = [0; 9];
        for (index, name) in VERDICTS.into_iter().enumerate() {
            same!(words[4 + 2 * index], name, "a word of {line:?}");
            pages[index] = words[5 + 2 * index].parse()?;
        }
        Ok(Self {
            node: node_of(words[0])?,
            zone: words[1].to_string(),
            first: hex(first)?,
            last: hex(last)?,
            verdict: words[3].to_string(),
            pages,
        })
    }
}

fn prospects(text: &str) -> Check<Vec<(String, Prospect)>> {
    let lines: Vec<_> = text.lines().collect();
    let mut prospects = Vec::new();
    for three in lines.chunks(3) {
        let mut numbers = [0; 3];
        let name = three[0].split(' ').next().unwrap_or_default();
        same!(three.len(), 3, "lines of {name}");
        for (index, kind) in ["now", "likely", "at_most"].into_iter().enumerate() {
            let number = three[index].strip_prefix(&format!("{name} {kind} "));
            numbers[index] = number
                .ok_or_else(|| Fail(format!("{:?}", three[index])))?
                .parse()?;
        }
        let [now, likely, at_most] = numbers;
        check!(
            now <= likely && likely <= at_most,
            "{name}: {now}, {likely}, {at_most} are not in order"
        );
        prospects.push((
            name.to_string(),
            Prospect {
                now,
                likely,
                at_most,
            },
        ));
    }
    Ok(prospects)
}
